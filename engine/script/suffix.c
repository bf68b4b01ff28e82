/* libpsl's built-in list needs no file and is read-only, so all workers share it. */
#include "script/suffix.h"

#include "base/ip.h"

#include <libpsl.h>
#include <stdbool.h>
#include <string.h>

enum { NAME_LIMIT = 255 };

/* libpsl takes 10.0.0.1 for a name below "1". */
static bool is_address(const char *name) {
    struct ip address;
    return ip_parse(name, &address) == 0;
}

static int32_t offset_by(const char *(*ask)(const psl_ctx_t *, const char *), const char *name,
                         uint32_t length) {
    char copy[NAME_LIMIT + 1];
    if (length == 0 || length > NAME_LIMIT || !psl_builtin()) return -1;
    memcpy(copy, name, length);
    copy[length] = '\0';
    struct ip address;
    if (ip_parse(copy, &address) == 0) return -1; /* or 10.0.0.1 would be registered below "1" */
    if (is_address(copy)) return -1;
    const char *found = ask(psl_builtin(), copy);
    return found ? (int32_t)(found - copy) : -1;
}

int32_t suffix_registrable(const char *name, uint32_t length) {
    return offset_by(psl_registrable_domain, name, length);
}

int32_t suffix_public(const char *name, uint32_t length) {
    return offset_by(psl_unregistrable_domain, name, length);
}
