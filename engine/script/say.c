/* What a detector says: alerts and reports, and where they stand in the order of things. */
#include "script/state.h"

#include "audit/audits.h"
#include "base/log.h"
#include "script/json_push.h"
#include "script/message.h"
#include "script/overhear.h"
#include "script/relay.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>

enum { REPORT_LIMIT = 16 * 1024 * 1024 };

/* The head of the event that was handled last in this batch, NULL if none was, and its clock. */
static const struct event_head_body *last_head(const struct detector *detector, double *clock) {
    uint64_t seq;
    const struct message *message = mail_at_hand(detector, &seq);
    if (!message) return detector_last(detector, clock);
    *clock = message->time;
    return message->cause == CAUSE_EVENT ? &message->head : NULL;
}

/* The head of the event that is being handled, or NULL in a timer. */
static const struct event_head_body *current_head(const struct detector *detector) {
    uint64_t seq;
    if (detector->feed->in_timer) return NULL;
    const struct message *message = mail_at_hand(detector, &seq);
    if (!message) return detector_at_hand(detector);
    return message->cause == CAUSE_EVENT ? &message->head : NULL;
}

/* Where in the order of things an alert is raised: see host.h. */
static struct alert_place current_place(const struct detector *detector) {
    double now = detector->feed->now, clock = 0;
    bool of_timer = detector->feed->in_timer || part_is_of_timer(detector);
    struct alert_place place = {.now = now, .in_timer = of_timer};
    uint64_t seq;
    const struct message *message = mail_at_hand(detector, &seq);
    if (message) {
        place.seq = message->time == now ? seq : 0;
        return place;
    }
    const struct event_head_body *last = detector_last(detector, &clock);
    place.seq = last && clock == now ? last->seq : 0;
    return place;
}

const struct event_head_body *bindings_head(const struct detector *detector, bool *after) {
    double clock = 0;
    const struct event_head_body *last = last_head(detector, &clock);
    *after = false;
    if (!detector->feed->in_timer) return part_is_of_timer(detector) ? NULL : last;
    *after = last && clock == detector->feed->now;
    return *after ? last : NULL;
}

/* What Lua calls now. Its seconds are rounded to some 240 ns; what is said at the end must not seem to be
 * older than the last events. */
nanoseconds detector_clock(const struct detector *detector, const struct event_head_body *head) {
    if (head) return head->clock;
    uint64_t seq;
    const struct message *message = mail_at_hand(detector, &seq);
    if (message && message->time == detector->feed->now) return message->head.clock;
    return detector->end ? detector->end : (nanoseconds)llround(detector->feed->now * 1e9);
}

/* Alerts wait until the batch is done: is there room for another? */
static bool alert_fits(struct detector *detector, size_t text) {
    detector->alert_bytes += text + sizeof(struct alert);
    if (detector->alert_bytes <= DETECTOR_ALERT_BYTES) return true;
    if (!detector->alerts_cut && !detector->options.quiet)
        log_line(LOG_WARNING,
                 "detector %s raised more than %d MiB of alerts in one batch: the rest of them is lost "
                 "(told once)",
                 detector->name, DETECTOR_ALERT_BYTES >> 20);
    detector->alerts_cut = true;
    return false;
}

void detector_say(struct detector *detector, struct alert *alert) {
    const struct event_head_body *head = current_head(detector);
    struct alert_place place = current_place(detector);
    alert->time = detector_clock(detector, head);
    /* What is said at the end comes after all that happened at the same time, wherever outputs sort by it. */
    alert->seq = head ? head->seq : detector->end ? UINT64_MAX - 1 : 0;
    alert->detector_index = detector->options.index;
    alert->has_head = head != NULL;
    if (head) {
        uint64_t seq;
        const struct message *message = mail_at_hand(detector, &seq);
        alert->worker = message ? message->worker : 0;
        alert->head = *head;
        alert->head.iface = part_iface(detector, head); /* in the batch's text, whoever made the event */
    }
    detector->alerts++;
    detector->options.on_alert(detector->options.context, alert, &place);
}

/* alert(severity, score, confidence, repeats, title, category, attack, who, where, why, next, evidence,
 * evidence as a table or nil) */
int host_alert(lua_State *lua) {
    struct detector *detector = detector_of(lua);
    struct alert alert = {
        .severity = (uint8_t)luaL_checkinteger(lua, 1),
        .score = lua_isnil(lua, 2) ? NAN : luaL_checknumber(lua, 2),
        .confidence = lua_isnil(lua, 3) ? NAN : luaL_checknumber(lua, 3),
        .repeats = (uint32_t)luaL_checknumber(lua, 4),
        .detector = detector->name,
        .title = luaL_checkstring(lua, 5),
        .category = luaL_checkstring(lua, 6),
        .attack = luaL_checkstring(lua, 7),
        .who = luaL_checkstring(lua, 8),
        .where = luaL_checkstring(lua, 9),
        .why = luaL_checkstring(lua, 10),
        .next = luaL_checkstring(lua, 11),
        .evidence = luaL_checkstring(lua, 12),
    };
    size_t text = 0;
    for (int i = 5; i <= 12; i++) text += lua_objlen(lua, i);
    if (!alert_fits(detector, text)) return 0;
    detector_say(detector, &alert);
    lua_settop(lua, 13);
    overhear_tell(detector, &alert, lua, 13);
    return 0;
}

/* Bytes of the strings in a list, and of pointers to them: the same string may stand there many times. */
static size_t strings_size(lua_State *lua, int table, size_t count) {
    size_t bytes = count * sizeof(char *);
    for (size_t i = 0; i < count && bytes <= REPORT_LIMIT; i++) {
        lua_rawgeti(lua, table, (int)i + 1);
        bytes += lua_objlen(lua, -1);
        lua_pop(lua, 1);
    }
    return bytes;
}

/* The strings of a list, which keeps them alive. */
static const char **strings_of(lua_State *lua, int table, size_t count) {
    const char **strings = calloc(count ? count : 1, sizeof *strings);
    for (size_t i = 0; strings && i < count; i++) {
        lua_rawgeti(lua, table, (int)i + 1);
        strings[i] = lua_type(lua, -1) == LUA_TSTRING ? lua_tostring(lua, -1) : "";
        lua_pop(lua, 1);
    }
    return strings;
}

/* report(title, note, columns, cells) → nil or what is wrong. Columns and cells are lists of strings; the
 * cells make whole rows. */
int host_report(lua_State *lua) {
    struct detector *detector = detector_of(lua);
    const char *title = luaL_checkstring(lua, 1), *note = luaL_checkstring(lua, 2);
    size_t columns = lua_objlen(lua, 3), count = lua_objlen(lua, 4);
    if (strings_size(lua, 3, columns) + strings_size(lua, 4, count) > REPORT_LIMIT) {
        lua_pushfstring(lua, "larger than %d MiB", REPORT_LIMIT >> 20);
        return 1;
    }
    const char **names = strings_of(lua, 3, columns), **cells = strings_of(lua, 4, count);
    struct report report = {
        .time = detector_clock(detector, current_head(detector)),
        .detector = detector->name,
        .title = title,
        .note = note,
        .columns = (uint32_t)columns,
        .rows = columns ? (uint32_t)(count / columns) : 0,
        .names = names,
        .cells = cells,
    };
    if (names && cells) detector->options.on_report(detector->options.context, &report);
    free(names);
    free(cells);
    return 0;
}

/* fact(host, topic, text, details) → true, or false if `host` is no address. */
int host_fact(lua_State *lua) {
    struct detector *detector = detector_of(lua);
    struct fact fact = {
        .time = detector_clock(detector, current_head(detector)),
        .detector = detector->name,
        .topic = luaL_checkstring(lua, 2),
        .text = luaL_checkstring(lua, 3),
        .details = luaL_checkstring(lua, 4),
    };
    bool is_address = ip_parse(luaL_checkstring(lua, 1), &fact.host) == 0;
    if (is_address && detector->options.on_fact) detector->options.on_fact(detector->options.context, &fact);
    lua_pushboolean(lua, is_address);
    return 1;
}

/* audit(address, hardware address, or nil) → a table of its own, or nothing */
int host_audit(lua_State *lua) {
    const struct detector *detector = detector_of(lua);
    const json_t *found = audits_find(detector->options.audits, luaL_optstring(lua, 1, NULL));
    if (!found) return 0;
    json_push(lua, found);
    return 1;
}

/* capture() → packets, bytes, cut, undecoded, dropped, interface_dropped; nothing in handlers and where
 * nobody counts. */
int host_capture(lua_State *lua) {
    struct detector *detector = detector_of(lua);
    struct capture_figures figures = {0};
    if (!detector->feed->in_timer || !detector->options.on_capture) return 0;
    nanoseconds clock = detector->end ? INT64_MAX : detector_clock(detector, NULL);
    if (!detector->options.on_capture(detector->options.context, clock, &figures)) return 0;
    lua_pushnumber(lua, (double)figures.packets);
    lua_pushnumber(lua, (double)figures.bytes);
    lua_pushnumber(lua, (double)figures.cut);
    lua_pushnumber(lua, (double)figures.undecoded);
    lua_pushnumber(lua, (double)figures.dropped);
    lua_pushnumber(lua, (double)figures.interface_dropped);
    return 6;
}
