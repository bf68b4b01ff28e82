/* Alerts and sensor records as syslog messages (RFC 5424), made from their lines of JSON.
 *
 *      <PRI>1 TIMESTAMP HOSTNAME lunette PID MSGID [lunette@32473 detector="…" who="…" …] BOM text
 *
 * PRI is facility 4 (security) and a severity from the alert's: high 2 (critical), medium 4 (warning), low 5
 * (notice), info 6. MSGID is the record's event_type. The time is the record's, in UTC.
 *
 * 32473 is the enterprise number that is set aside for documentation (RFC 5612): the project has none of its
 * own. */
#ifndef LUNETTE_OUTPUT_SYSLOG_H
#define LUNETTE_OUTPUT_SYSLOG_H

#include "output/buffer.h"

enum { SYSLOG_MESSAGE_MOST = 8192 }; /* bytes; text that is longer is cut between characters */

bool syslog_wants(const char *event_type, size_t length);

/* Appends a frame "LENGTH SP MESSAGE" (octet counting, RFC 6587 section 3.4.1) for each line that is an alert
 * or a sensor record (but one with a severity: its alert says it already). Returns how many could not be
 * made. */
uint64_t syslog_frames(struct buffer *frames, const char *lines, size_t length);

#endif
