/* The keys of a detector's named states as Lua reaches them: what lua-api/lunette.h calls key_…(), and where
 * the key that is asked for comes from. It may be a text or a number of Lua's; or it is made of parts, among
 * them fields of an event, whose bytes are taken where they lie in the batch: no string is made for them.
 *
 * The key of one field is the value that the field has in Lua: e.client_ip, e.server_port. That of several
 * parts is a text: each as Lua would write it, with a tab in between; a part that is absent is empty. So a
 * key has one form, wherever it came from. */
#ifndef LUNETTE_SCRIPT_KEYRING_H
#define LUNETTE_SCRIPT_KEYRING_H

#include "base/error.h"
#include "script/keys.h"
#include "script/state.h"

/* Belongs to the detector. NULL and why if there is no memory. */
struct lunette_keyring *keyring_new(struct detector *detector, uint32_t max, double ttl, struct error *err);
void keyrings_free(struct detector *detector);

/* For the hand-over. */
struct keys *keyring_keys(struct lunette_keyring *keyring);

/* What Lua calls: told in lua-api/lunette.h. */
int32_t keyring_text(struct lunette_keyring *keyring, uint32_t act, const char *text, uint32_t length);
int32_t keyring_number(struct lunette_keyring *keyring, uint32_t act, double number);
int32_t keyring_fields(struct lunette_keyring *keyring, uint32_t act, uint32_t begun, const void *event,
                       const char *text, uint32_t first, uint32_t second, uint32_t third, uint32_t fourth);
uint32_t keyring_part(struct lunette_keyring *keyring, uint32_t begun, const char *text, uint32_t length);
void keyring_drop(struct lunette_keyring *keyring, uint32_t slot);
uint32_t keyring_next(struct lunette_keyring *keyring, uint32_t slot, uint32_t aged, struct lunette_key *out);
uint32_t keyring_count(struct lunette_keyring *keyring);
double keyring_evicted(struct lunette_keyring *keyring);
void keyring_start(struct lunette_keyring *keyring, double clock);
uint32_t keyring_shrink(struct lunette_keyring *keyring);
uint32_t keyring_pack(struct lunette_keyring *keyring, struct lunette_move *out);

#endif
