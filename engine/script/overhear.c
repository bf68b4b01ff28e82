/* See overhear.h. */
#include "script/overhear.h"

#include "script/entry.h"
#include "script/plain.h"
#include "script/relay.h"
#include "script/state.h"
#include "script/watchdog.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ telling */

/* A table on its way: pairs are counted as they are written. */
struct table_out {
    struct outgoing bytes;
    size_t count_at;
    uint32_t pairs;
};

static void put_key(struct table_out *out, const char *key) {
    plain_put_text(&out->bytes, key, strlen(key));
    out->pairs++;
}

static void put_text(struct table_out *out, const char *key, const char *text) {
    if (!text) return;
    put_key(out, key);
    plain_put_text(&out->bytes, text, strlen(text));
}

static void put_number(struct table_out *out, const char *key, double value) {
    if (value != value) return;
    put_key(out, key);
    plain_put_number(&out->bytes, value);
}

static void put_slice(struct table_out *out, const char *key, const char *text, struct text_ref ref) {
    if (!ref.at) return;
    put_key(out, key);
    plain_put_text(&out->bytes, text + ref.at, ref.length);
}

static void put_address(struct table_out *out, const char *key, const struct ip *address) {
    char text[IP_TEXT_SIZE];
    ip_format(address, text);
    put_text(out, key, text);
}

/* The server's name as the event that is being handled has it. */
static struct text_ref server_name(const struct detector *detector) {
    const struct event_head_body *head = detector_at_hand(detector);
    int kind = head ? detector_kind_at_hand(detector) : -1;
    const void *event = head;
    switch (kind) {
    case EVENT_flow:
        return ((const struct event_flow *)event)->body.server_name;
    case EVENT_onset:
        return ((const struct event_onset *)event)->body.server_name;
    case EVENT_tls:
        return ((const struct event_tls *)event)->body.sni;
    case EVENT_quic:
        return ((const struct event_quic *)event)->body.sni;
    case EVENT_http:
        return ((const struct event_http *)event)->body.host;
    case EVENT_vpn:
        return ((const struct event_vpn *)event)->body.name;
    default:
        return (struct text_ref){0};
    }
}

static void put_flow(struct table_out *out, const struct detector *detector, const struct alert *alert) {
    const struct event_head_body *head = &alert->head;
    const struct batch *batch = detector->options.batch;
    put_text(out, "ancestry", head->ancestry);
    put_address(out, "client_ip", &head->client_ip);
    put_number(out, "flow_id", (double)head->flow_id);
    put_slice(out, "iface", batch->text, head->iface);
    put_text(out, "partial", head->partial);
    put_text(out, "path", head->path);
    if (head->pid) put_number(out, "pid", head->pid);
    put_text(out, "program", head->program);
    put_address(out, "server_ip", &head->server_ip);
    put_slice(out, "server_name", batch->text, server_name(detector));
    put_number(out, "server_port", head->server_port);
}

/* Everything but the evidence. */
static void put_alert(struct table_out *out, const struct detector *detector, const struct alert *alert) {
    plain_put_table(&out->bytes, 0);
    out->count_at = out->bytes.used - sizeof(uint32_t);
    put_text(out, "attack", alert->attack);
    put_text(out, "category", alert->category);
    put_number(out, "confidence", alert->confidence);
    put_text(out, "detector", alert->detector);
    put_text(out, "next", alert->next);
    put_number(out, "score", alert->score);
    put_text(out, "severity", severity_name(alert->severity));
    put_number(out, "time", ns_to_seconds(alert->time));
    put_text(out, "title", alert->title);
    put_text(out, "where", alert->where);
    put_text(out, "who", alert->who);
    put_text(out, "why", alert->why);
    if (alert->has_head) put_flow(out, detector, alert);
}

/* Left out if it is too large. False: there is no memory. */
static bool put_evidence(struct table_out *out, lua_State *lua, int evidence) {
    const size_t used = out->bytes.used;
    const uint32_t pairs = out->pairs;
    put_key(out, "evidence");
    const size_t left = out->bytes.used < MESSAGE_MOST ? MESSAGE_MOST - out->bytes.used : 0;
    lua_pushvalue(lua, evidence);
    if (!lua_istable(lua, -1)) {
        plain_put_table(&out->bytes, 0);
    } else if (!plain_write_sorted(&out->bytes, lua, left)) {
        out->bytes.used = used;
        out->pairs = pairs;
    }
    lua_pop(lua, 1);
    return !out->bytes.failed;
}

void overhear_tell(struct detector *detector, const struct alert *alert, lua_State *lua, int evidence) {
    const struct detector_options *options = &detector->options;
    bool gathers = options->stage == STAGE_GATHER;
    if (!options->heard || !options->is_heard || !options->is_heard(options->context)) return;
    if (gathers && detector->overhears) return;
    struct table_out out = {0};
    struct message message;
    luaL_checkstack(lua, 4 * PLAIN_DEPTH + 16, "the stack"); /* nothing asks for memory of Lua's from here */
    mail_begin(detector, &message);
    if (gathers) message.cause = CAUSE_GATHERED;
    message.worker = alert->worker;
    message.from = detector->name_digest;
    message.key_kind = LUNETTE_MAIL_NUMBER;
    message.key_length = 0;
    message.key_number = options->index;
    message.value_kind = LUNETTE_MAIL_TABLE;
    message.value_number = 0;
    message.number = (uint64_t)options->index << 48 | (++detector->sent & 0xffffffffffff);
    bool before = watchdog_hold(true);
    put_alert(&out, detector, alert);
    if (put_evidence(&out, lua, evidence)) {
        memcpy(out.bytes.bytes + out.count_at, &out.pairs, sizeof out.pairs);
        message.value_length = (uint32_t)out.bytes.used;
        bag_add(options->heard, &message, &(struct message_parts){.value = out.bytes.bytes}, options->batch);
    } else {
        options->heard->lost++;
    }
    free(out.bytes.bytes);
    watchdog_hold(before);
}

/* ------------------------------------------------------------------ hearing */

bool detector_overhears(const struct detector *detector) {
    return detector->overhears;
}

void overhear_arrange(struct script_host *host) {
    struct overheard *overheard = &host->overheard;
    overheard->raised.most = BAG_MOST;
    overheard->hearers = 0;
    for (uint32_t i = 0; i < host->count; i++) overheard->hearers += detector_overhears(host->detectors[i]);
    if (overheard->hearers == 0) overheard->raised.used = overheard->raised.count = 0;
}

void overhear_free(struct script_host *host) {
    bag_free(&host->overheard.raised);
    free(host->overheard.waiting);
}

static bool waiting_add(struct overheard *overheard, struct message *message) {
    if (overheard->count == overheard->room) {
        uint32_t room = overheard->room ? overheard->room * 2 : 256;
        struct message **grown = realloc(overheard->waiting, room * sizeof(struct message *));
        if (!grown) {
            overheard->lost++;
            return false;
        }
        overheard->waiting = grown;
        overheard->room = room;
    }
    overheard->waiting[overheard->count++] = message;
    return true;
}

bool overhear_keep(struct script_host *host, struct message *message) {
    struct overheard *overheard = &host->overheard;
    if (message->head.seq > overheard->seq) overheard->seq = message->head.seq;
    if (!message->from && !detector_overhears(host->detectors[message->detector])) return false;
    waiting_add(overheard, message);
    return true;
}

/* What others raised before that time waits with the rest; later things stay. The bag is the caller's to
 * free, once it was handled. */
static struct bag raised_take(struct overheard *overheard, double before) {
    struct bag taken = overheard->raised;
    overheard->raised = (struct bag){.most = BAG_MOST};
    struct message *message;
    size_t at = 0;
    while ((message = bag_next(&taken, &at)) != NULL) {
        if (message->time < before)
            waiting_add(overheard, message);
        else
            bag_copy(&overheard->raised, message);
    }
    overheard->lost += taken.lost + overheard->raised.lost;
    overheard->raised.lost = 0;
    return taken;
}

static int compare_waiting(const void *left, const void *right) {
    const struct message *const *a = left, *const *b = right;
    return message_compare(*a, *b);
}

static void deliver(struct script_host *host, struct message *const *messages, uint32_t count) {
    struct batch *batch = host->batch;
    nanoseconds clock = batch->clock;
    for (uint32_t i = 0; i < count; i++) {
        struct message *message = messages[i];
        message->head.seq = ++host->overheard.seq;
        message->head.iface = (struct text_ref){0};
        if (message->iface_length)
            message->head.iface = batch_text(batch, message_iface(message), message->iface_length);
        for (uint32_t k = 0; k < host->count; k++) {
            struct detector *detector = host->detectors[k];
            if (!detector_overhears(detector)) continue;
            bool is_for = message->from ? message->from != detector->name_digest : message->detector == k;
            if (is_for) detector_mail(detector, message, message->head.seq);
        }
    }
    double end = messages[count - 1]->time;
    batch->clock = (nanoseconds)(end * 1e9);
    for (uint32_t k = 0; k < host->count; k++)
        if (detector_overhears(host->detectors[k])) detector_receive(host->detectors[k], end);
    host_deliver_alerts(host, NULL);
    batch->clock = clock;
    batch->text_used = 1;
}

void overhear_run(struct script_host *host, double before) {
    struct overheard *overheard = &host->overheard;
    if (overheard->count == 0 && overheard->raised.count == 0) return;
    struct bag raised = raised_take(overheard, before);
    if (overheard->count > 1)
        qsort(overheard->waiting, overheard->count, sizeof(struct message *), compare_waiting);
    for (uint32_t at = 0; at < overheard->count;) {
        uint32_t left = overheard->count - at, count = left < LUNETTE_BATCH ? left : LUNETTE_BATCH;
        deliver(host, overheard->waiting + at, count);
        at += count;
    }
    overheard->count = 0;
    bag_free(&raised);
}
