/* struct lunette_api: what compiled Lua calls through the FFI.
 *
 * A loop that calls these spends so much of its time in them that the watchdog would hardly ever find it in
 * Lua: so they ask themselves whether it wants to be rid of that loop. */
#include "script/api.h"

#include "script/address.h"
#include "script/keyring.h"
#include "script/profile.h"
#include "script/state.h"
#include "script/suffix.h"
#include "script/watchdog.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static int32_t api_set_find(const struct lunette_set *set, const char *text, uint32_t length) {
    watchdog_obey();
    return set_find((const struct set *)(const void *)set, text, length);
}

static int32_t api_set_find_field(struct lunette_detector *opaque, const struct lunette_set *set,
                                  uint32_t kind, uint32_t slot, uint32_t number) {
    watchdog_obey();
    const struct detector *detector = (const void *)opaque;
    const struct event_schema *head = event_schema_of(EVENT_head),
                              *own = detector_schema(detector, (int)kind);
    const struct field *field =
        number < head->field_count ? &head->fields[number] : &own->fields[number - head->field_count];
    return field_find((const struct set *)(const void *)set, field, detector_event(detector, (int)kind, slot),
                      detector_text(detector, (int)kind));
}

static int32_t api_registrable(const char *name, uint32_t length) {
    watchdog_obey();
    return suffix_registrable(name, length);
}

static int32_t api_public_suffix(const char *name, uint32_t length) {
    watchdog_obey();
    return suffix_public(name, length);
}

static int32_t api_ip_text(const uint8_t *address, char *out) {
    struct ip ip;
    watchdog_obey();
    memcpy(ip.bytes, address, sizeof ip.bytes);
    return ip_format(&ip, out);
}

static int32_t api_ip_place(uint8_t *known, uint32_t count, const uint8_t *address) {
    uint32_t words[4];
    memcpy(words, address, sizeof words);
    uint32_t bits = words[0] ^ words[1] ^ words[2] ^ words[3];
    uint32_t place = (bits ^ bits >> 11 ^ bits >> 22) & (count - 1);
    uint8_t *there = known + (size_t)place * sizeof words;
    if (memcmp(there, words, sizeof words) == 0) return (int32_t)place;
    memcpy(there, words, sizeof words);
    return -1 - (int32_t)place;
}

static int32_t api_is_address(const char *text, uint32_t length) {
    char copy[IP_TEXT_SIZE];
    struct ip ip;
    if (length >= sizeof copy) return 0;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return ip_parse(copy, &ip) == 0;
}

static int32_t api_find(const char *bytes, uint32_t length, const char *needle, uint32_t needle_length) {
    watchdog_obey();
    const char *at = memmem(bytes, length, needle, needle_length);
    return at ? (int32_t)(at - bytes) : -1;
}

static void api_hash(const char *bytes, uint32_t length, uint32_t *out) {
    uint64_t hash = XXH3_64bits(bytes, length);
    out[0] = (uint32_t)(hash >> 32);
    out[1] = (uint32_t)hash;
}

/* With a seed of its own, so that no number is the text of the same bytes. */
static void api_hash_number(double number, uint32_t *out) {
    uint64_t hash = XXH3_64bits_withSeed(&number, sizeof number, 1);
    out[0] = (uint32_t)(hash >> 32);
    out[1] = (uint32_t)hash;
}

static int32_t api_flow_area_grow(struct lunette_detector *opaque, struct lunette_flow_area *shown,
                                  uint32_t slot) {
    struct detector *detector = (void *)opaque;
    size_t limit = detector->options.memory_limit, used = detector->beside_heap;
    watchdog_obey();
    for (uint32_t i = 0; i < detector->flow_area_count; i++) {
        if (flow_area_shown(detector->flow_areas[i]) != shown) continue;
        size_t grown = flow_area_grow(detector->flow_areas[i], slot, used < limit ? limit - used : 0);
        detector->beside_heap += grown;
        return grown > 0 ? 0 : -1;
    }
    return -1;
}

const struct lunette_api lunette_api = {
    .version = LUNETTE_API_VERSION,
    .feed_size = sizeof(struct lunette_feed),
    .set_find = api_set_find,
    .set_find_field = api_set_find_field,
    .ip_text = api_ip_text,
    .ip_place = api_ip_place,
    .registrable = api_registrable,
    .public_suffix = api_public_suffix,
    .is_address = api_is_address,
    .find = api_find,
    .address_traits = address_traits,
    .address_inside = address_inside,
    .address_canonical = address_canonical,
    .address_reverse = address_reverse,
    .address_network = address_network,
    .hash = api_hash,
    .hash_number = api_hash_number,
    .send = mail_send,
    .flow_area_grow = api_flow_area_grow,
    .emit_begin = api_emit_begin,
    .emit_text = api_emit_text,
    .emit_list = api_emit_list,
    .emit_item = api_emit_item,
    .ip_parse = api_ip_parse,
    .emit_commit = api_emit_commit,
    .key_text = keyring_text,
    .key_number = keyring_number,
    .key_fields = keyring_fields,
    .key_part = keyring_part,
    .key_drop = keyring_drop,
    .key_next = keyring_next,
    .key_count = keyring_count,
    .key_evicted = keyring_evicted,
    .key_start = keyring_start,
    .key_shrink = keyring_shrink,
    .key_pack = keyring_pack,
    .profile_enter = profile_enter,
    .profile_leave = profile_leave,
};
