/* The tables of summary_who.h: each is short, and there only if it has rows. */
#include "output/summary_who.h"

#include "output/buffer.h"
#include "output/top.h"
#include "output/who_key.h"

#include <string.h>

enum { ROWS = 12, CELLS = 8, CELL = TOP_KEY_SIZE, SERVERS = 3, SERVERS_WIDTH = 48 };

/* A table under way: cells are put row by row. */
struct table {
    char cells[ROWS * CELLS][CELL];
    const char *at[ROWS * CELLS];
    uint32_t used;
};

static void put(struct table *t, const char *text) {
    if (t->used == ROWS * CELLS) return;
    snprintf(t->cells[t->used], CELL, "%s", text);
    t->at[t->used] = t->cells[t->used];
    t->used++;
}

static void put_count(struct table *t, uint64_t count) {
    char figure[FIGURE_SIZE];
    put(t, figure_count(count, figure));
}

static void put_bytes(struct table *t, uint64_t bytes) {
    char figure[FIGURE_SIZE];
    put(t, figure_bytes(bytes, figure));
}

/* Cell `number` of a key. */
static const char *cell_of(const struct top_entry *e, uint32_t number, char out[CELL]) {
    const char *at = e->key;
    for (; number; number--) {
        at = strchr(at, WHO_SEPARATOR);
        if (!at) break;
        at++;
    }
    size_t length = at ? strcspn(at, "\x1f") : 0;
    if (length) memcpy(out, at, length);
    out[length] = '\0';
    return out;
}

static void put_cell(struct table *t, const struct top_entry *e, uint32_t number) {
    char text[CELL];
    cell_of(e, number, text);
    put(t, text[0] ? text : "-");
}

static void finish(struct page *p, const char *title, const struct table *t, const char *const *names,
                   uint32_t columns, uint32_t more) {
    page_heading(p, title);
    terminal_table(p->b, p->style, PAGE_INDENT, columns, t->used / columns, names, t->at);
    page_more(p, more);
}

/* ── programs ────────────────────────────────────────────────────── */

/* The program's busiest traits of a kind: how many there are, and up to SERVERS of them. */
static uint32_t traits_of(const struct summary_who *who, const struct top_entry *program, char trait,
                          const struct top_entry *best[SERVERS]) {
    struct who_key prefix = {0};
    who_trait_prefix(&prefix, program->key, program->key_length, trait);
    uint32_t count = 0;
    for (uint32_t i = 0; i < top_count(who->traits); i++) {
        const struct top_entry *e = top_at(who->traits, i);
        if (strncmp(e->key, prefix.text, prefix.length) != 0) continue;
        uint32_t at = count < SERVERS ? count : SERVERS;
        for (; at > 0 && top_is_busier(e, best[at - 1]); at--)
            if (at < SERVERS) best[at] = best[at - 1];
        if (at < SERVERS) best[at] = e;
        count++;
    }
    return count;
}

/* "one.example, two.example and 3 more", as many as fit in the width. */
static void join_traits(const struct summary_who *who, const struct top_entry *program, char trait,
                        uint32_t most, char out[CELL]) {
    const struct top_entry *best[SERVERS] = {NULL};
    uint32_t count = traits_of(who, program, trait, best), shown = 0;
    enum { PREFIX = 17 };
    size_t used = 0;
    out[0] = '\0';
    for (; shown < count && shown < most && shown < SERVERS; shown++) {
        const char *text = best[shown]->key + PREFIX;
        if (shown && used + strlen(text) + 2 > SERVERS_WIDTH) break;
        used += (size_t)snprintf(out + used, CELL - used, "%s%.200s", shown ? ", " : "", text);
    }
    if (shown < count) snprintf(out + used, CELL - used, " and %u more", count - shown);
}

static bool any_parent(const struct summary_who *who) {
    for (uint32_t i = 0; i < top_count(who->traits); i++)
        if (top_at(who->traits, i)->key[16] == TRAIT_PARENT) return true;
    return false;
}

void summary_who_print_programs(const struct summary_who *who, struct page *p) {
    static const char *const plain[] = {"program", ">flows", ">sent", ">received", "to"};
    static const char *const full[] = {"program", "started by", ">flows", ">sent", ">received", "to"};
    const struct top_entry *busiest[ROWS];
    uint32_t count = top_busiest(who->programs, busiest, ROWS);
    if (!count) return;
    bool parents = any_parent(who);
    struct table t;
    t.used = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct top_entry *e = busiest[i];
        char text[CELL];
        cell_of(e, 1, text);
        put(&t, text[0] ? text : cell_of(e, 0, text));
        if (parents) {
            join_traits(who, e, TRAIT_PARENT, 2, text);
            put(&t, text[0] ? text : "-");
        }
        put_count(&t, e->flows);
        put_bytes(&t, e->sent);
        put_bytes(&t, e->received);
        join_traits(who, e, TRAIT_SERVER, SERVERS, text);
        if (!text[0]) join_traits(who, e, TRAIT_ADDRESS, SERVERS, text);
        put(&t, text[0] ? text : "-");
    }
    finish(p, "Programs", &t, parents ? full : plain, parents ? 6 : 5, top_count(who->programs) - count);
}

/* ── the rest ────────────────────────────────────────────────────── */

static void print_protocols(const struct summary_who *who, struct page *p) {
    static const char *const names[] = {"protocol", ">flows", ">to servers", ">to clients"};
    const struct top_entry *busiest[ROWS];
    uint32_t count = top_busiest(who->protocols, busiest, ROWS);
    if (!count) return;
    struct table t;
    t.used = 0;
    for (uint32_t i = 0; i < count; i++) {
        put_cell(&t, busiest[i], 0);
        put_count(&t, busiest[i]->flows);
        put_bytes(&t, busiest[i]->sent);
        put_bytes(&t, busiest[i]->received);
    }
    finish(p, "Protocols", &t, names, 4, top_count(who->protocols) - count);
}

static void print_proxies(const struct summary_who *who, struct page *p) {
    static const char *const names[] = {"kind", "proxy", "asked for", ">flows", ">to it", ">from it"};
    const struct top_entry *busiest[ROWS];
    uint32_t count = top_busiest(who->proxies, busiest, ROWS);
    if (!count) return;
    struct table t;
    t.used = 0;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < 3; k++) put_cell(&t, busiest[i], k);
        put_count(&t, busiest[i]->flows);
        put_bytes(&t, busiest[i]->sent);
        put_bytes(&t, busiest[i]->received);
    }
    finish(p, "Proxies", &t, names, 6, top_count(who->proxies) - count);
}

/* What betrayed it is a sentence: below the table, a paragraph for each. */
static void print_vpns(const struct summary_who *who, struct page *p) {
    const struct top_entry *busiest[ROWS];
    uint32_t count = top_busiest(who->vpns, busiest, ROWS);
    if (!count) return;
    page_heading(p, "VPNs");
    for (uint32_t i = 0; i < count; i++) {
        const struct top_entry *e = busiest[i];
        char kind[CELL], mode[CELL], confidence[CELL], from[CELL], to[CELL], figure[FIGURE_SIZE];
        struct buffer text = {0};
        buffer_string(&text, cell_of(e, 0, kind));
        if (cell_of(e, 1, mode)[0]) buffer_format(&text, " %s", mode);
        buffer_format(&text, ", %s: %s → %s", cell_of(e, 2, confidence), cell_of(e, 3, from),
                      cell_of(e, 4, to));
        if (e->flows > 1) buffer_format(&text, ", %s flows", figure_count(e->flows, figure));
        buffer_char(&text, '\0');
        buffer_fill(p->b, ' ', PAGE_INDENT);
        if (!text.failed) terminal_wrapped(p->b, p->style, PAGE_INDENT, PAGE_INDENT, text.at);
        buffer_free(&text);
        buffer_char(p->b, '\n');
        const struct vpn_note *note = &who->notes[top_number(who->vpns, e)];
        if (!note->evidence[0]) continue;
        buffer_fill(p->b, ' ', 2 * PAGE_INDENT);
        terminal_wrapped(p->b, p->style, 2 * PAGE_INDENT, 2 * PAGE_INDENT, note->evidence);
        buffer_char(p->b, '\n');
    }
    page_more(p, top_count(who->vpns) - count);
}

static void print_logins(const struct summary_who *who, struct page *p) {
    static const char *const names[] = {"protocol", "user", "from", "server"};
    const struct top_entry *busiest[ROWS];
    uint32_t count = top_busiest(who->logins, busiest, ROWS);
    if (!count) return;
    struct table t;
    t.used = 0;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < 4; k++) put_cell(&t, busiest[i], k);
    finish(p, "Logins with the password in clear", &t, names, 4, top_count(who->logins) - count);
}

void summary_who_print_rest(const struct summary_who *who, struct page *p) {
    print_protocols(who, p);
    print_proxies(who, p);
    print_vpns(who, p);
    print_logins(who, p);
}
