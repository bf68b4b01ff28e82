/* HASSH, the fingerprint of an SSH implementation by the algorithms that it offers (salesforce/hassh): the
 * MD5 of "kex;encryption;mac;compression". The client's is made from its client-to-server lists, the server's
 * from its server-to-client lists. */
#ifndef LUNETTE_PROTOCOL_HASSH_H
#define LUNETTE_PROTOCOL_HASSH_H

#include "base/bytes.h"

#include <stdbool.h>

enum { HASSH_LENGTH = 32 };

/* The name-lists of SSH_MSG_KEXINIT in their order (RFC 4253 section 7.1). */
enum kexinit_list {
    KEXINIT_KEX,
    KEXINIT_HOST_KEY,
    KEXINIT_CIPHER_TO_SERVER,
    KEXINIT_CIPHER_TO_CLIENT,
    KEXINIT_MAC_TO_SERVER,
    KEXINIT_MAC_TO_CLIENT,
    KEXINIT_COMPRESSION_TO_SERVER,
    KEXINIT_COMPRESSION_TO_CLIENT,
    KEXINIT_LANGUAGE_TO_SERVER,
    KEXINIT_LANGUAGE_TO_CLIENT,
    KEXINIT_LISTS
};

/* Reads the lists out of a KEXINIT payload (message number first). Slices point into it. */
bool kexinit_parse(struct slice payload, struct slice lists[KEXINIT_LISTS]);

/* Writes the fingerprint and a NUL. Returns false, and writes an empty string, if the lists together are
 * longer than any SSH packet or libcrypto has no MD5. */
bool hassh_of(const struct slice lists[KEXINIT_LISTS], bool client, char out[HASSH_LENGTH + 1]);

#endif
