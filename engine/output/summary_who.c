/* Counting. A key is the cells of a table's row, with a separator between them that no cell contains; what
 * comes off the wire is cut to its cell's share of the key. */
#include "output/summary_who.h"

#include "output/top.h"
#include "output/who_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int summary_who_init(struct summary_who *who) {
    who->programs = top_new(WHO_PLACES);
    who->traits = top_new(WHO_TRAITS);
    who->protocols = top_new(WHO_PROTOCOLS);
    who->proxies = top_new(WHO_PLACES);
    who->vpns = top_new(WHO_PLACES);
    who->logins = top_new(WHO_PLACES);
    who->notes = calloc(WHO_PLACES, sizeof *who->notes);
    bool all = who->programs && who->traits && who->protocols && who->proxies && who->vpns && who->logins;
    return all && who->notes ? 0 : -1;
}

void summary_who_clear(struct summary_who *who) {
    top_free(who->programs);
    top_free(who->traits);
    top_free(who->protocols);
    top_free(who->proxies);
    top_free(who->vpns);
    top_free(who->logins);
    free(who->notes);
    *who = (struct summary_who){0};
}

/* ── keys ────────────────────────────────────────────────────────── */

static void put_cell(struct who_key *key, const char *text, size_t length, size_t most) {
    if (key->cells++ && key->length < sizeof key->text) key->text[key->length++] = WHO_SEPARATOR;
    if (length > most) length = most;
    for (size_t i = 0; i < length && key->length < sizeof key->text; i++)
        key->text[key->length++] = text[i] == WHO_SEPARATOR ? '?' : text[i];
}

static void put_word(struct who_key *key, const char *word, size_t most) {
    put_cell(key, word ? word : "", word ? strlen(word) : 0, most);
}

static void put_text(struct who_key *key, struct text_ref text, const struct batch *batch, size_t most) {
    put_cell(key, text.at ? batch->text + text.at : "", text.at ? text.length : 0, most);
}

static void put_end(struct who_key *key, const struct ip *address, uint16_t port) {
    char ip[IP_TEXT_SIZE], text[IP_TEXT_SIZE + 16];
    ip_format(address, ip);
    if (!port)
        snprintf(text, sizeof text, "%s", ip);
    else
        snprintf(text, sizeof text, strchr(ip, ':') ? "[%s]:%u" : "%s:%u", ip, port);
    put_word(key, text, sizeof text);
}

static uint32_t count_key(struct top *top, const struct who_key *key, uint64_t sent, uint64_t received) {
    return top_add(top, key->text, key->length, 1, sent, received);
}

/* ── flows ───────────────────────────────────────────────────────── */

enum { NAME_BYTES = 40, PATH_BYTES = 200, TARGET_BYTES = 180 };

static void add_trait(struct summary_who *who, const struct who_key *program, char trait, const char *text,
                      size_t length, uint64_t bytes) {
    struct who_key key = {0};
    who_trait_prefix(&key, program->text, program->length, trait);
    put_cell(&key, text, length, TOP_KEY_SIZE);
    count_key(who->traits, &key, bytes, 0);
}

/* What it sent and got is told from the program's side: it may be the server. */
static void add_program(struct summary_who *who, const struct event_flow *flow, const struct batch *batch) {
    const struct event_head_body *head = &flow->head;
    const struct event_flow_body *f = &flow->body;
    const char *name = head->program ? head->program : head->process;
    if (!name) return;
    bool serves = head->direction && strcmp(head->direction, "in") == 0;
    uint64_t bytes = f->client_bytes + f->server_bytes;
    struct who_key key = {0};
    put_word(&key, name, NAME_BYTES);
    put_word(&key, head->path, PATH_BYTES);
    count_key(who->programs, &key, serves ? f->server_bytes : f->client_bytes,
              serves ? f->client_bytes : f->server_bytes);
    if (head->parent) add_trait(who, &key, TRAIT_PARENT, head->parent, strlen(head->parent), bytes);
    if (serves) return;
    const struct text_ref *server = &f->server_name;
    if (server->at && server->length) {
        add_trait(who, &key, TRAIT_SERVER, batch->text + server->at, server->length, bytes);
        return;
    }
    char ip[IP_TEXT_SIZE];
    int length = ip_format(&head->server_ip, ip);
    add_trait(who, &key, TRAIT_ADDRESS, ip, (size_t)length, bytes);
}

/* A flow that said nothing has no protocol to tell; one of ICMP is its own. */
static void add_protocol(struct summary_who *who, const struct event_flow *flow) {
    const struct event_flow_body *f = &flow->body;
    char text[64];
    const char *proto = flow->head.proto ? flow->head.proto : "IP";
    bool has_ports = strcmp(proto, "TCP") == 0 || strcmp(proto, "UDP") == 0;
    if (f->app_proto)
        snprintf(text, sizeof text, "%s", f->app_proto);
    else if (!has_ports)
        snprintf(text, sizeof text, "%s", proto);
    else if (f->client_payload + f->server_payload)
        snprintf(text, sizeof text, "%s, not recognised", proto);
    else
        return;
    top_add(who->protocols, text, strlen(text), 1, f->client_bytes, f->server_bytes);
}

static void add_flow(struct summary_who *who, const struct event_flow *flow, const struct batch *batch) {
    const struct event_flow_body *f = &flow->body;
    add_program(who, flow, batch);
    add_protocol(who, flow);
    if (!f->proxy) return;
    struct who_key key = {0};
    put_word(&key, f->proxy, NAME_BYTES);
    put_end(&key, &flow->head.server_ip, flow->head.server_port);
    put_text(&key, f->proxy_target, batch, TARGET_BYTES);
    count_key(who->proxies, &key, f->client_bytes, f->server_bytes);
}

/* ── VPNs ────────────────────────────────────────────────────────── */

/* Of several the first one is shown, by time and then by its words. */
static void note_evidence(struct summary_who *who, uint32_t number, nanoseconds time, const char *text,
                          size_t length) {
    struct vpn_note *note = &who->notes[number], offered = {.time = time};
    if (length >= sizeof offered.evidence) length = sizeof offered.evidence - 1;
    memcpy(offered.evidence, text, length);
    bool fresh = top_at(who->vpns, number)->flows == 0;
    bool earlier = time < note->time || (time == note->time && strcmp(offered.evidence, note->evidence) < 0);
    if (fresh || earlier) *note = offered;
}

static void add_vpn(struct summary_who *who, const struct event_vpn *event, const struct batch *batch) {
    const struct event_vpn_body *v = &event->body;
    struct who_key key = {0};
    put_word(&key, v->kind, NAME_BYTES);
    put_word(&key, v->mode ? v->mode : v->version, NAME_BYTES);
    put_word(&key, v->confidence, NAME_BYTES);
    put_end(&key, &event->head.client_ip, 0);
    if (v->name.at && v->name.length)
        put_text(&key, v->name, batch, TARGET_BYTES);
    else
        put_end(&key, &event->head.server_ip, event->head.server_port);
    uint32_t number = top_add(who->vpns, key.text, key.length, 0, 0, 0);
    const struct text_ref *evidence = &v->evidence;
    note_evidence(who, number, event->head.time, evidence->at ? batch->text + evidence->at : "",
                  evidence->at ? evidence->length : 0);
    count_key(who->vpns, &key, 1, 0);
}

/* ── logins ──────────────────────────────────────────────────────── */

/* Where events of a kind say who logged in, and that his password went over the wire in clear. */
struct login_kind {
    enum event_kind kind;
    size_t user, password;
};

static const struct login_kind logins[] = {
    {EVENT_smtp, offsetof(struct event_smtp, body.user), offsetof(struct event_smtp, body.password)},
    {EVENT_imap, offsetof(struct event_imap, body.user), offsetof(struct event_imap, body.password)},
    {EVENT_pop3, offsetof(struct event_pop3, body.user), offsetof(struct event_pop3, body.password)},
    {EVENT_xmpp, offsetof(struct event_xmpp, body.user), offsetof(struct event_xmpp, body.password)},
    {EVENT_ldap, offsetof(struct event_ldap, body.name), offsetof(struct event_ldap, body.password)},
    {EVENT_ftp, offsetof(struct event_ftp, body.user), offsetof(struct event_ftp, body.password)},
    {EVENT_irc, offsetof(struct event_irc, body.user), offsetof(struct event_irc, body.password)},
    {EVENT_mqtt, offsetof(struct event_mqtt, body.user), offsetof(struct event_mqtt, body.password)},
    {EVENT_socks, offsetof(struct event_socks, body.user), offsetof(struct event_socks, body.password)},
};

static const struct login_kind *login_of(enum event_kind kind) {
    for (size_t i = 0; i < sizeof logins / sizeof logins[0]; i++)
        if (logins[i].kind == kind) return &logins[i];
    return NULL;
}

static void add_login(struct summary_who *who, const struct login_kind *login, const void *event,
                      const struct batch *batch) {
    const uint8_t *bytes = event;
    const struct event_head_body *head = event; /* an event begins with its head */
    if (!bytes[login->password]) return;
    struct text_ref user;
    memcpy(&user, bytes + login->user, sizeof user);
    struct who_key key = {0};
    put_word(&key, event_schema_of(login->kind)->name, NAME_BYTES);
    put_text(&key, user, batch, 64);
    put_end(&key, &head->client_ip, 0);
    put_end(&key, &head->server_ip, head->server_port);
    count_key(who->logins, &key, 1, 0);
}

/* ── events ──────────────────────────────────────────────────────── */

bool summary_who_wants(enum event_kind kind) {
    return kind == EVENT_flow || kind == EVENT_vpn || login_of(kind);
}

void summary_who_event(struct summary_who *who, enum event_kind kind, const void *event,
                       const struct batch *batch) {
    if (kind == EVENT_flow) {
        add_flow(who, event, batch);
        return;
    }
    if (kind == EVENT_vpn) {
        add_vpn(who, event, batch);
        return;
    }
    const struct login_kind *login = login_of(kind);
    if (login) add_login(who, login, event, batch);
}

/* ── one into another ────────────────────────────────────────────── */

static void merge_top(struct top *into, const struct top *from) {
    for (uint32_t i = 0; i < top_count(from); i++) {
        const struct top_entry *e = top_at(from, i);
        top_add(into, e->key, e->key_length, e->flows, e->sent, e->received);
    }
}

void summary_who_merge(struct summary_who *into, const struct summary_who *from) {
    for (uint32_t i = 0; i < top_count(from->vpns); i++) {
        const struct top_entry *e = top_at(from->vpns, i);
        const struct vpn_note *note = &from->notes[i];
        uint32_t number = top_add(into->vpns, e->key, e->key_length, 0, 0, 0);
        note_evidence(into, number, note->time, note->evidence, strlen(note->evidence));
        top_add(into->vpns, e->key, e->key_length, e->flows, e->sent, e->received);
    }
    merge_top(into->programs, from->programs);
    merge_top(into->traits, from->traits);
    merge_top(into->protocols, from->protocols);
    merge_top(into->proxies, from->proxies);
    merge_top(into->logins, from->logins);
}
