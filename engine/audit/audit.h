/* The audit of a Mac by its own files: what its network is configured to do, and what of that does not
 * belong.
 *
 *      tree (files below the root) ─┬─ preferences  locations, services, proxies, resolvers, VPN services,
 * interfaces ├─ profiles     profiles and managed settings: DNS, VPN, proxies ├─ extensions   VPNs and DNS of
 * apps (com.apple.networkextension.plist) ├─ name_files   /etc/hosts, /etc/resolver, /etc/resolv.conf ├─
 * packet_filter  /etc/pf.conf and its anchors ├─ agents       what launchd starts that uses the network └─
 * browsers     proxies that browsers have of their own │ a document (JSON, described in lua-api/README.md) ├─
 * weigh       findings by severity └─ difference  from an earlier document
 *
 * Everything read may be broken or made to harm: nothing is believed of its type, length or nesting, and what
 * cannot be read is listed in the document under "files". */
#ifndef LUNETTE_AUDIT_AUDIT_H
#define LUNETTE_AUDIT_AUDIT_H

#include "base/error.h"
#include "base/time.h"

#include <jansson.h>

struct audit_result {
    json_t *document; /* the caller's */
    unsigned read;    /* files that were there and could be read */
    unsigned failed;  /* files that were there and could not be, or are broken */
};

/* -1 and why if the root cannot be opened, or memory is short. */
int audit_root(const char *root, nanoseconds now, struct audit_result *out, struct error *err);

/* Adds to a document how it differs from an earlier one ("since"), and raises what is new. -1 and why if
 * `earlier` is no audit. */
int audit_since(json_t *document, const json_t *earlier, struct error *err);

#endif
