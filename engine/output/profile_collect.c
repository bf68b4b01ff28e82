/* See profile_collect.h: a record becomes counts under its keys. */
#include "output/profile_collect.h"

#include "base/text.h"
#include "endpoint/json_read.h"
#include "endpoint/when.h"
#include "output/profile_inner.h"
#include "output/profile_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { HOUR = 3600, NO_NUMBER = UINT32_MAX };

/* ── tables that grow ────────────────────────────────────────────── */

static bool index_widen(struct index *index) {
    struct index wider = {.mask = index->slots ? index->mask * 2 + 1 : 255, .used = index->used};
    wider.slots = calloc((size_t)wider.mask + 1, sizeof *wider.slots);
    if (!wider.slots) return false;
    for (uint32_t i = 0; index->slots && i <= index->mask; i++) {
        if (!index->slots[i].number) continue;
        uint32_t at = index->slots[i].hash & wider.mask;
        while (wider.slots[at].number) at = (at + 1) & wider.mask;
        wider.slots[at] = index->slots[i];
    }
    free(index->slots);
    *index = wider;
    return true;
}

/* The slot of the entry that is the same, or a free one for it; NULL without memory. */
static struct index_slot *index_slot(struct index *index, uint32_t hash,
                                     bool (*is_same)(const void *table, uint32_t number, const void *wanted),
                                     const void *table, const void *wanted) {
    if ((!index->slots || index->used * 2 > index->mask) && !index_widen(index)) return NULL;
    uint32_t at = hash & index->mask;
    while (index->slots[at].number) {
        const struct index_slot *slot = &index->slots[at];
        if (slot->hash == hash && is_same(table, slot->number - 1, wanted)) break;
        at = (at + 1) & index->mask;
    }
    return &index->slots[at];
}

/* Puts an entry of `size` bytes behind the others and into its slot. NO_NUMBER if there is no room for it. */
static uint32_t append(struct profile_collector *c, struct index *index, struct index_slot *slot,
                       uint32_t hash, void *array, uint32_t *count, uint32_t *room, uint32_t most,
                       const void *entry, size_t size) {
    void **entries = array;
    if (*count >= most) {
        c->left_out++;
        return NO_NUMBER;
    }
    if (*count == *room) {
        uint32_t more = *room ? *room * 2 : 64;
        void *moved = realloc(*entries, more * size);
        if (!moved) {
            c->failed = true;
            return NO_NUMBER;
        }
        *entries = moved;
        *room = more;
    }
    memcpy((char *)*entries + *count * size, entry, size);
    *slot = (struct index_slot){.hash = hash, .number = *count + 1};
    index->used++;
    return (*count)++;
}

/* ── keys, hosts, hours ──────────────────────────────────────────── */

static bool same_key(const void *table, uint32_t number, const void *wanted) {
    const struct collect_key *known = (const struct collect_key *)table + number, *key = wanted;
    return known->kind == key->kind && strcmp(known->text, key->text) == 0;
}

static uint32_t key_of(struct profile_collector *c, enum profile_kind kind, char *text, nanoseconds time) {
    struct collect_key key = {.kind = kind, .text = text, .first_seen = time};
    uint32_t hash = (uint32_t)XXH3_64bits_withSeed(text, strlen(text), (uint64_t)kind);
    struct index_slot *slot = index_slot(&c->key_index, hash, same_key, c->keys, &key);
    if (!slot) c->failed = true;
    if (!slot) return NO_NUMBER;
    if (slot->number) {
        struct collect_key *known = &c->keys[slot->number - 1];
        if (time < known->first_seen) known->first_seen = time;
        return slot->number - 1;
    }
    key.text = strdup(text);
    if (!key.text) c->failed = true;
    uint32_t number = !key.text ? NO_NUMBER
                                : append(c, &c->key_index, slot, hash, &c->keys, &c->key_count, &c->key_room,
                                         PROFILE_ROWS_MAX, &key, sizeof key);
    if (number == NO_NUMBER) free(key.text);
    return number;
}

static bool same_host(const void *table, uint32_t number, const void *wanted) {
    return strcmp(((const struct collect_host *)table)[number].name, wanted) == 0;
}

static uint32_t host_of(struct profile_collector *c, const struct ip *address) {
    char name[IP_TEXT_SIZE + 16];
    int length = ip_format(address, name);
    if (c->apart) snprintf(name + length, sizeof name - (size_t)length, " (%u)", c->apart);
    uint32_t hash = (uint32_t)XXH3_64bits(name, strlen(name));
    struct index_slot *slot = index_slot(&c->host_index, hash, same_host, c->hosts, name);
    if (!slot) c->failed = true;
    if (!slot) return NO_NUMBER;
    if (slot->number) return slot->number - 1;
    struct collect_host host = {.name = strdup(name)};
    if (!host.name) c->failed = true;
    uint32_t number = !host.name ? NO_NUMBER
                                 : append(c, &c->host_index, slot, hash, &c->hosts, &c->host_count,
                                          &c->host_room, PROFILE_HOSTS_MAX, &host, sizeof host);
    if (number == NO_NUMBER) free(host.name);
    return number;
}

/* The hour of presence that a time falls into. A connection that is told of late may have begun before
 * anything else that is known of the host: less than an hour before counts as the first hour. */
static uint32_t hour_of(struct collect_host *host, nanoseconds time) {
    int64_t second = time / NS_PER_SECOND;
    bool back = host->begun && second - host->latest >= HOUR;
    if (!host->begun) host->first = second;
    if (!host->begun || back) host->anchor = second;
    if (!host->begun || second > host->latest) host->latest = second;
    host->begun = true;
    int64_t hours = (second - host->anchor) / HOUR;
    if (second < host->anchor) {
        hours = -((host->anchor - second + HOUR - 1) / HOUR);
        if (host->anchor == host->first && hours == -1) hours = 0;
    }
    int64_t begin = host->anchor + hours * HOUR;
    return begin < 0 ? 0 : begin > UINT32_MAX ? UINT32_MAX : (uint32_t)begin;
}

static bool same_cell(const void *table, uint32_t number, const void *wanted) {
    const struct collect_cell *known = (const struct collect_cell *)table + number, *cell = wanted;
    return known->key == cell->key && known->host == cell->host && known->hour == cell->hour;
}

static uint32_t cell_hash(const struct collect_cell *cell) {
    const uint32_t parts[3] = {cell->key, cell->host, cell->hour};
    return (uint32_t)XXH3_64bits(parts, sizeof parts);
}

static bool same_rhythm(const void *table, uint32_t number, const void *wanted) {
    const struct collect_rhythm *known = (const struct collect_rhythm *)table + number, *rhythm = wanted;
    return known->key == rhythm->key && known->host == rhythm->host;
}

/* ── one record ──────────────────────────────────────────────────── */

/* Who did it, when, and how much of it there was. */
struct doing {
    uint32_t host, hour;
    nanoseconds time;
    uint32_t flows;
    uint64_t up, down;
};

static struct index_slot *cell_slot(struct profile_collector *c, const struct collect_cell *cell) {
    return index_slot(&c->cell_index, cell_hash(cell), same_cell, c->cells, cell);
}

/* Returns the key's number. */
static uint32_t count(struct profile_collector *c, const struct doing *doing, enum profile_kind kind,
                      char *key) {
    if (!key[0]) return NO_NUMBER;
    uint32_t number = key_of(c, kind, key, doing->time);
    if (number == NO_NUMBER) return NO_NUMBER;
    struct collect_cell cell = {.key = number, .host = doing->host, .hour = doing->hour};
    struct index_slot *slot = cell_slot(c, &cell);
    if (!slot) c->failed = true;
    if (!slot) return NO_NUMBER;
    uint32_t at = slot->number ? slot->number - 1
                               : append(c, &c->cell_index, slot, cell_hash(&cell), &c->cells, &c->cell_count,
                                        &c->cell_room, COLLECT_CELLS_MAX, &cell, sizeof cell);
    if (at == NO_NUMBER) return NO_NUMBER;
    c->cells[at].flows += doing->flows;
    c->cells[at].up += doing->up;
    c->cells[at].down += doing->down;
    return number;
}

/* Hours with traffic for anybody but groups are those in which the host is there. */
static void be_present(struct profile_collector *c, const struct doing *doing) {
    struct doing here = *doing;
    char all[] = "all";
    here.flows = 0;
    count(c, &here, PROFILE_VOLUME, all);
}

static int compare_times(const void *a, const void *b) {
    const nanoseconds *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void keep_earliest(struct collect_rhythm *rhythm) {
    if (rhythm->count <= COLLECT_STARTS_MAX) return;
    qsort(rhythm->starts, rhythm->count, sizeof *rhythm->starts, compare_times);
    rhythm->count = COLLECT_STARTS_MAX;
}

/* The earliest COLLECT_STARTS_MAX are kept, in whatever order they come. */
static void add_start(struct profile_collector *c, struct collect_rhythm *rhythm, nanoseconds time) {
    if (rhythm->count == 2 * COLLECT_STARTS_MAX) keep_earliest(rhythm);
    if (rhythm->count == rhythm->room) {
        uint32_t more = rhythm->room ? rhythm->room * 2 : 4;
        nanoseconds *moved = realloc(rhythm->starts, more * sizeof *moved);
        if (!moved) c->failed = true;
        if (!moved) return;
        rhythm->starts = moved;
        rhythm->room = more;
    }
    rhythm->starts[rhythm->count++] = time;
}

static void beat(struct profile_collector *c, const struct doing *doing, uint32_t key) {
    if (key == NO_NUMBER) return;
    struct collect_rhythm rhythm = {.key = key, .host = doing->host};
    uint32_t parts[2] = {key, doing->host};
    uint32_t hash = (uint32_t)XXH3_64bits(parts, sizeof parts);
    struct index_slot *slot = index_slot(&c->rhythm_index, hash, same_rhythm, c->rhythms, &rhythm);
    if (!slot) c->failed = true;
    if (!slot) return;
    uint32_t at = slot->number ? slot->number - 1
                               : append(c, &c->rhythm_index, slot, hash, &c->rhythms, &c->rhythm_count,
                                        &c->rhythm_room, COLLECT_RHYTHMS_MAX, &rhythm, sizeof rhythm);
    if (at != NO_NUMBER) add_start(c, &c->rhythms[at], doing->time);
}

/* A text member as a key; "" if there is none. */
static void member_key(const json_t *object, const char *member, char out[PROFILE_KEY_MAX + 1]) {
    const char *text = json_string_value(json_object_get(object, member));
    profile_key_text(text ? text : "", out);
}

static void two_words(char out[PROFILE_KEY_MAX + 1], const char *first, const char *second) {
    text_copy(out, PROFILE_KEY_MAX / 4, first);
    size_t length = strlen(out);
    out[length++] = ' ';
    text_copy(out + length, PROFILE_KEY_MAX + 1 - length, second);
}

static bool member_ip(const json_t *record, const char *member, struct ip *address) {
    const char *text = json_string_value(json_object_get(record, member));
    return text && ip_parse(text, address) == 0;
}

static uint64_t member_bytes(const json_t *object, const char *member) {
    double value = json_member_number(object, member, 0);
    return value > 0 && value < 1e18 ? (uint64_t)value : 0;
}

static bool is_of_group(const struct ip *address) {
    if (!ip_is_v4(address)) return address->bytes[0] == 0xff;
    return (address->bytes[12] & 0xf0) == 0xe0 || address->bytes[12] == 0xff;
}

static void flow_names(struct profile_collector *c, const json_t *record, const struct doing *doing,
                       const struct ip *server, bool abroad) {
    char name[PROFILE_KEY_MAX + 1] = "", word[PROFILE_KEY_MAX + 1], key[PROFILE_KEY_MAX + 1];
    const char *server_name = json_string_value(json_object_get(record, "server_name"));
    if (server_name) profile_key_name(server_name, name);
    if (name[0])
        beat(c, doing, count(c, doing, PROFILE_NAME, name));
    else if (abroad) {
        profile_key_network(server, name);
        beat(c, doing, count(c, doing, PROFILE_ADDRESS, name));
    }
    member_key(record, "ja4", word);
    count(c, doing, PROFILE_TLS, word);
    two_words(key, word, name);
    if (word[0] && server_name) count(c, doing, PROFILE_TLS_NAME, key);
    member_key(json_object_get(record, "process"), "program", word);
    if (!word[0]) member_key(json_object_get(record, "process"), "name", word);
    count(c, doing, PROFILE_PROGRAM, word);
    two_words(key, word, name);
    if (word[0] && name[0]) count(c, doing, PROFILE_PROGRAM_NAME, key);
}

static void count_flow(struct profile_collector *c, const json_t *record, struct doing *doing, bool inward,
                       const struct ip *server) {
    const json_t *flow = json_object_get(record, "flow");
    char key[PROFILE_KEY_MAX + 1], all[] = "all";
    uint64_t sent = member_bytes(flow, "bytes_toserver"), received = member_bytes(flow, "bytes_toclient");
    doing->up = inward ? received : sent;
    doing->down = inward ? sent : received;
    const char *application = json_string_value(json_object_get(record, "app_proto"));
    if (!is_of_group(server)) count(c, doing, PROFILE_VOLUME, all);
    const char *transport = json_string_value(json_object_get(record, "proto"));
    double port = json_member_number(record, "dest_port", 0);
    profile_key_service(transport ? transport : "ip", port > 0 && port < 65536 ? (uint32_t)port : 0,
                        application, inward, key);
    count(c, doing, PROFILE_SERVICE, key);
    bool abroad = !c->options.is_local(c->options.context, server) && !is_of_group(server);
    if (!inward) flow_names(c, record, doing, server, abroad);
}

static void count_dns(struct profile_collector *c, const json_t *record, const struct doing *doing,
                      const struct ip *server) {
    const json_t *dns = json_object_get(record, "dns");
    char key[PROFILE_KEY_MAX + 1], word[PROFILE_KEY_MAX + 1], type[PROFILE_KEY_MAX + 1];
    member_key(dns, "type", type);
    bool query = strcmp(type, "query") == 0;
    member_key(dns, query ? "rrtype" : "rcode", word);
    two_words(key, type, word);
    if (word[0]) count(c, doing, PROFILE_DNS, key);
    if (!query) return;
    be_present(c, doing);
    const char *name = json_string_value(json_object_get(dns, "rrname"));
    profile_key_name(name ? name : "", key);
    count(c, doing, PROFILE_DNS_NAME, key);
    if (c->options.is_local(c->options.context, server))
        strcpy(key, "local");
    else
        ip_format(server, key);
    count(c, doing, PROFILE_RESOLVER, key);
}

static void count_other(struct profile_collector *c, const json_t *record, const char *kind,
                        const struct doing *doing) {
    char key[PROFILE_KEY_MAX + 1];
    be_present(c, doing);
    if (strcmp(kind, "http") == 0) {
        const char *agent =
            json_string_value(json_object_get(json_object_get(record, "http"), "http_user_agent"));
        profile_key_agent(agent ? agent : "", key);
        count(c, doing, PROFILE_AGENT, key);
        return;
    }
    const json_t *client = json_object_get(json_object_get(record, "ssh"), "client");
    member_key(json_object_get(client, "hassh"), "hash", key);
    count(c, doing, PROFILE_SSH, key);
}

/* When it was: of a flow, when it began. */
static bool time_of(const json_t *record, bool is_flow, nanoseconds *out) {
    const json_t *value = is_flow ? json_object_get(json_object_get(record, "flow"), "start")
                                  : json_object_get(record, "timestamp");
    const char *text = json_string_value(value);
    return text && when_read(text, strlen(text), out);
}

/* Who gives out addresses, or asks for one, is not one of the hosts for that. */
static bool is_dhcp(const json_t *record) {
    const char *application = json_string_value(json_object_get(record, "app_proto"));
    return application && strncmp(application, "dhcp", 4) == 0;
}

/* The address that the host goes by. */
static const struct ip *counted_as(const struct profile_collector *c, const struct ip *address) {
    for (size_t i = 0; i < c->options.alias_count; i++)
        if (ip_equals(&c->options.aliases[i].address, address)) return &c->options.aliases[i].counts_as;
    return address;
}

static bool is_looked_at(const struct profile_collector *c, const struct ip *address) {
    static const struct ip nothing, nothing_v4 = {{[10] = 0xff, [11] = 0xff}};
    if (ip_equals(address, &nothing) || ip_equals(address, &nothing_v4)) return false;
    if (!c->options.is_local(c->options.context, address)) return false;
    size_t i = 0;
    address = counted_as(c, address);
    while (i < c->options.only_count && !ip_equals(counted_as(c, &c->options.only[i]), address)) i++;
    return !c->options.only_count || i < c->options.only_count;
}

static enum profile_line count_record(struct profile_collector *c, const json_t *record, const char *kind) {
    struct ip client, server;
    struct doing doing = {.flows = 1};
    bool is_flow = strcmp(kind, "flow") == 0;
    if (!time_of(record, is_flow, &doing.time)) return PROFILE_BAD;
    if (!member_ip(record, "src_ip", &client) || !member_ip(record, "dest_ip", &server)) return PROFILE_BAD;
    bool out = is_looked_at(c, &client);
    bool inward =
        !out && is_flow && !c->options.is_local(c->options.context, &client) && is_looked_at(c, &server);
    if (is_flow && is_dhcp(record)) return PROFILE_OTHER;
    if ((!out && !inward) || is_of_group(out ? &client : &server)) return PROFILE_OTHER;
    doing.host = host_of(c, counted_as(c, out ? &client : &server));
    if (doing.host == NO_NUMBER) return PROFILE_OTHER;
    doing.hour = hour_of(&c->hosts[doing.host], doing.time);
    if (!c->first || doing.time < c->first) c->first = doing.time;
    if (doing.time > c->last) c->last = doing.time;
    if (is_flow)
        count_flow(c, record, &doing, inward, &server);
    else if (strcmp(kind, "dns") == 0)
        count_dns(c, record, &doing, &server);
    else
        count_other(c, record, kind, &doing);
    return PROFILE_COUNTED;
}

/* The word behind "event_type": most lines of a sensor need not be parsed. */
static bool kind_of(const char *line, size_t length, char out[16]) {
    static const char member[] = "\"event_type\"";
    const char *end = line + length, *p = memmem(line, length, member, sizeof member - 1);
    if (!p) return false;
    for (p += sizeof member - 1; p < end && (*p == ' ' || *p == ':'); p++) continue;
    if (p == end || *p++ != '"') return false;
    size_t used = 0;
    while (p < end && *p != '"' && used < 15) out[used++] = *p++;
    out[used] = '\0';
    return p < end && *p == '"';
}

enum profile_line profile_collect(struct profile_collector *c, const char *line, size_t length) {
    static const char *const kinds[] = {"flow", "dns", "http", "ssh"};
    char kind[16] = "";
    if (length < 2 || line[0] != '{') return PROFILE_BAD;
    if (!kind_of(line, length, kind))
        return memmem(line, length, "event_type", 10) ? PROFILE_OTHER : PROFILE_BAD;
    size_t i = 0;
    while (i < sizeof kinds / sizeof *kinds && strcmp(kinds[i], kind) != 0) i++;
    if (i == sizeof kinds / sizeof *kinds) return PROFILE_OTHER;
    json_t *record = json_loadb(line, length, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, NULL);
    if (!record) return PROFILE_BAD;
    enum profile_line outcome = count_record(c, record, kind);
    json_decref(record);
    return outcome;
}

/* ── when all is counted ─────────────────────────────────────────── */

static bool was_there(struct profile_collector *c, uint32_t volume, const struct collect_cell *cell) {
    const struct collect_cell hour = {.key = volume, .host = cell->host, .hour = cell->hour};
    const struct index_slot *slot = cell_slot(c, &hour);
    return slot && slot->number;
}

void collector_settle(struct profile_collector *c) {
    uint32_t cells = 0, rhythms = 0, volume = 0;
    bool *present = calloc((size_t)c->host_count + 1, sizeof *present);
    struct collect_cell *kept = calloc((size_t)c->cell_count + 1, sizeof *kept);
    if (!present || !kept) c->failed = true;
    while (volume < c->key_count && c->keys[volume].kind != PROFILE_VOLUME) volume++;
    if (c->settled || c->failed) {
        free(present);
        free(kept);
        return;
    }
    for (uint32_t i = 0; i < c->cell_count; i++) {
        if (!was_there(c, volume, &c->cells[i])) continue;
        present[c->cells[i].host] = true;
        kept[cells++] = c->cells[i];
    }
    for (uint32_t i = 0; i < c->rhythm_count; i++) {
        keep_earliest(&c->rhythms[i]);
        if (present[c->rhythms[i].host])
            c->rhythms[rhythms++] = c->rhythms[i];
        else
            free(c->rhythms[i].starts);
    }
    free(c->cells);
    free(present);
    c->cells = kept;
    c->cell_count = cells;
    c->rhythm_count = rhythms;
    c->settled = true;
}

/* ── the collector ───────────────────────────────────────────────── */

struct profile_collector *profile_collector_new(const struct profile_collect_options *options,
                                                struct error *err) {
    struct profile_collector *c = calloc(1, sizeof *c);
    if (c)
        c->options = *options;
    else
        error_set(err, "out of memory");
    return c;
}

void profile_collector_free(struct profile_collector *c) {
    if (!c) return;
    for (uint32_t i = 0; i < c->key_count; i++) free(c->keys[i].text);
    for (uint32_t i = 0; i < c->host_count; i++) free(c->hosts[i].name);
    for (uint32_t i = 0; i < c->rhythm_count; i++) free(c->rhythms[i].starts);
    free(c->keys);
    free(c->hosts);
    free(c->cells);
    free(c->rhythms);
    free(c->key_index.slots);
    free(c->host_index.slots);
    free(c->cell_index.slots);
    free(c->rhythm_index.slots);
    free(c);
}

void profile_collector_source(struct profile_collector *c, const char *name, uint32_t apart) {
    char clean[PROFILE_KEY_MAX + 1];
    const char *base = strrchr(name, '/');
    profile_key_text(base ? base + 1 : name, clean);
    size_t used = strlen(c->sources);
    if (used + strlen(clean) + 2 < PROFILE_SOURCES_MAX)
        snprintf(c->sources + used, sizeof c->sources - used, "%s%s", used ? ", " : "", clean);
    else if (used < 3 || strcmp(c->sources + used - 3, "…") != 0)
        snprintf(c->sources + used, sizeof c->sources - used, ", …");
    c->apart = apart;
}

bool profile_collector_failed(const struct profile_collector *c) {
    return c->failed;
}
