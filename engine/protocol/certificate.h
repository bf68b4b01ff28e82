/* X.509 certificates, read by OpenSSL. */
#ifndef LUNETTE_PROTOCOL_CERTIFICATE_H
#define LUNETTE_PROTOCOL_CERTIFICATE_H

#include "base/bytes.h"
#include "event/batch.h"

#include <stdbool.h>

/* Fills the certificate's fields of an event that is open in `batch`. Returns false if the DER is not a
 * certificate that OpenSSL can read; the fingerprint, which needs no understanding, is there even then. */
bool certificate_describe(struct slice der, struct batch *batch, struct event_tls_body *out);

#endif
