/* See home.h. The prefix set is the same that scripts use. */
#include "sensor/home.h"

#include "base/bytes.h"
#include "script/set.h"

#include <stdlib.h>
#include <string.h>

struct home {
    struct set *networks;
};

static const char default_networks[] = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,169.254.0.0/16,"
                                       "127.0.0.0/8,fc00::/7,fe80::/10,::1";

struct home *home_new(const char *networks, struct error *err) {
    struct home *home = calloc(1, sizeof *home);
    if (home) home->networks = set_new(SET_PREFIXES);
    if (!home || !home->networks) {
        home_free(home);
        error_set(err, "out of memory");
        return NULL;
    }
    const char *at = networks ? networks : default_networks;
    for (;;) {
        size_t length = strcspn(at, ",");
        if (set_add(home->networks, at, length, 1, err) < 0) {
            home_free(home);
            return NULL;
        }
        if (at[length] == '\0') return home;
        at += length + 1;
    }
}

void home_free(struct home *home) {
    if (!home) return;
    set_free(home->networks);
    free(home);
}

bool home_has(const struct home *home, const struct ip *address) {
    return set_find_ip(home->networks, address) >= 0;
}

static const struct ip *owner_of(const struct home *home, const struct decoded *decoded) {
    bool src = home_has(home, &decoded->src), dst = home_has(home, &decoded->dst);
    if (src != dst) return src ? &decoded->src : &decoded->dst;
    if (decoded->src_port != decoded->dst_port)
        return decoded->src_port > decoded->dst_port ? &decoded->src : &decoded->dst;
    return memcmp(&decoded->src, &decoded->dst, sizeof(struct ip)) < 0 ? &decoded->src : &decoded->dst;
}

bool home_network(const struct home *home, uint32_t index, struct ip *address, uint32_t *bits) {
    return set_block(home->networks, index, address, bits);
}

/* IPv4: the address. IPv6: the sum of its four words. */
static uint32_t fold(const struct ip *address) {
    uint32_t last = load_be32(address->bytes + 12);
    if (ip_is_v4(address)) return last;
    return load_be32(address->bytes) + load_be32(address->bytes + 4) + load_be32(address->bytes + 8) + last;
}

uint32_t home_worker_of(const struct home *home, const struct decoded *decoded, uint32_t workers) {
    return home_deal(fold(owner_of(home, decoded)), workers);
}

uint32_t home_worker_of_host(const struct ip *address, uint32_t workers) {
    return home_deal(fold(address), workers);
}
