/* The table of algorithms is a constant that cannot be written down at compile time: pthread_once fills it.
 */
#include "base/digest.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdbool.h>

static EVP_MD *algorithms[DIGEST_KINDS];
static pthread_once_t algorithms_once = PTHREAD_ONCE_INIT;

static void algorithms_fetch(void) {
    static const char *const names[DIGEST_KINDS] = {"MD5", "SHA1", "SHA2-256"};
    for (int kind = 0; kind < DIGEST_KINDS; kind++) algorithms[kind] = EVP_MD_fetch(NULL, names[kind], NULL);
}

size_t digest_bytes(enum digest_kind kind, const void *data, size_t length, uint8_t out[DIGEST_MAX_BYTES]) {
    pthread_once(&algorithms_once, algorithms_fetch);
    if (!algorithms[kind]) return 0;
    unsigned int written = 0;
    return EVP_Digest(data, length, out, &written, algorithms[kind], NULL) == 1 ? written : 0;
}

size_t digest_hex(enum digest_kind kind, const void *data, size_t length, char *out, size_t digits) {
    static const char hex[] = "0123456789abcdef";
    uint8_t digest[DIGEST_MAX_BYTES];
    out[0] = '\0';
    if (digest_bytes(kind, data, length, digest) * 2 < digits) return 0;
    for (size_t i = 0; i < digits / 2; i++) {
        out[2 * i] = hex[digest[i] >> 4];
        out[2 * i + 1] = hex[digest[i] & 15];
    }
    out[digits] = '\0';
    return digits;
}
