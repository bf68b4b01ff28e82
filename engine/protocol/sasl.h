/* The user's name out of SASL messages (RFC 4422), for SMTP, IMAP, POP3, XMPP and LDAP. Secrets stay where
 * they are: nothing but the name is copied. */
#ifndef LUNETTE_PROTOCOL_SASL_H
#define LUNETTE_PROTOCOL_SASL_H

#include "protocol/text_words.h"

/* Does the mechanism send the password itself: PLAIN or LOGIN? */
bool sasl_sends_password(struct slice mechanism);

/* Notes the user that the client's message number `step` (from 0) names, if it does, in `user`. The message
 * comes as base64 (RFC 4648); PLAIN (RFC 4616), LOGIN, CRAM-MD5 (RFC 2195), DIGEST-MD5 (RFC 2831), SCRAM (RFC
 * 5802), OAUTHBEARER (RFC 7628) and XOAUTH2 are known. Leaves `user` alone if there is no name. */
void sasl_note_user(struct text_value *user, struct slice mechanism, unsigned step, struct slice base64);

#endif
