/* Messages at both ends: how a worker's detector puts them into the bag, and how the state that gathers is
 * given them. See message.h; engine/script/gathering.lua is the Lua side. */
#include "script/message.h"
#include "script/plain.h"
#include "script/relay.h"
#include "script/state.h"
#include "script/watchdog.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct mailbox {
    struct lunette_mail mail;
    struct message *messages[LUNETTE_BATCH];
    uint64_t seqs[LUNETTE_BATCH];
};

_Static_assert(sizeof((struct lunette_mail){0}.messages) / sizeof(struct lunette_message) == LUNETTE_BATCH,
               "the mail holds as many messages as the feed holds events");

int mail_open(struct detector *detector, struct error *err) {
    if (detector->options.stage != STAGE_GATHER) return 0;
    detector->hushed = true;
    detector->mailbox = calloc(1, sizeof *detector->mailbox);
    return detector->mailbox ? 0 : error_set(err, "%s: out of memory", detector->options.path);
}

void mail_close(struct detector *detector) {
    free(detector->mailbox);
}

struct lunette_mail *mail_of(struct detector *detector) {
    return &detector->mailbox->mail;
}

/* ------------------------------------------------------------------ sending */

void mail_begin(const struct detector *detector, struct message *message) {
    bool after;
    const struct event_head_body *head = bindings_head(detector, &after);
    *message = (struct message){0};
    message->time = detector->feed->now;
    message->name = detector->name_digest;
    message->cause = head ? CAUSE_EVENT : detector->end ? CAUSE_END : CAUSE_TIMER;
    message->head = head ? *head : (struct event_head_body){0};
    if (head)
        message->head.iface = part_iface(detector, head);
    else
        message->head.clock = detector->end ? detector->end : (nanoseconds)llround(message->time * 1e9);
}

static int message_send(struct detector *detector, struct message *message,
                        const struct message_parts *parts) {
    message->number = ++detector->sent;
    if (!detector->options.bag) return BAG_FINE;
    return bag_add(detector->options.bag, message, parts, detector->options.batch);
}

int32_t mail_send(struct lunette_detector *opaque, const char *key, uint32_t key_length, double key_number,
                  uint32_t value_kind, const char *value, uint32_t value_length, double value_number) {
    struct detector *detector = (void *)opaque;
    struct message message;
    watchdog_obey();
    mail_begin(detector, &message);
    message.key_kind = key ? LUNETTE_MAIL_TEXT : LUNETTE_MAIL_NUMBER;
    message.key_length = key ? key_length : 0;
    message.key_number = key ? 0 : key_number;
    message.value_kind = (uint8_t)value_kind;
    message.value_length = value_length;
    message.value_number = value_number;
    return message_send(detector, &message, &(struct message_parts){.key = key, .value = value});
}

/* send_table(key, table) → as in lunette_api.send, or nothing if it is not plain */
static int mail_send_table(lua_State *lua) {
    struct detector *detector = detector_of(lua);
    struct outgoing out = {0};
    struct message message;
    size_t length = 0;
    luaL_checkstack(lua, 4 * PLAIN_DEPTH + 16, "the stack"); /* nothing asks for memory of Lua's from here */
    lua_settop(lua, 2);
    mail_begin(detector, &message);
    bool is_text = lua_type(lua, 1) == LUA_TSTRING;
    const char *key = is_text ? lua_tolstring(lua, 1, &length) : NULL;
    message.key_kind = is_text ? LUNETTE_MAIL_TEXT : LUNETTE_MAIL_NUMBER;
    message.key_length = length < UINT32_MAX / 2 ? (uint32_t)length : UINT32_MAX / 2;
    message.key_number = is_text ? 0 : lua_tonumber(lua, 1);
    message.value_kind = LUNETTE_MAIL_TABLE;
    message.value_number = 0;
    int outcome = -1;
    bool before = watchdog_hold(true);
    if (plain_write_sorted(&out, lua, MESSAGE_MOST)) {
        message.value_length = (uint32_t)out.used;
        outcome = message_send(detector, &message, &(struct message_parts){.key = key, .value = out.bytes});
    }
    free(out.bytes);
    watchdog_hold(before);
    if (outcome < 0) return 0;
    lua_pushinteger(lua, outcome);
    return 1;
}

/* ---------------------------------------------------------------- receiving */

void detector_mail(struct detector *detector, struct message *message, uint64_t seq) {
    struct mailbox *box = detector->mailbox;
    uint32_t n = box->mail.count++;
    box->mail.messages[n] = (struct lunette_message){
        .time = message->time,
        .key_number = message->key_number,
        .value_number = message->value_number,
        .key = message_key(message),
        .value = message_value(message),
        .key_length = message->key_length,
        .value_length = message->value_length,
        .key_kind = message->key_kind,
        .value_kind = message->value_kind,
        .is_alert = message->from != 0,
    };
    box->messages[n] = message;
    box->seqs[n] = seq;
}

const struct message *mail_at_hand(const struct detector *detector, uint64_t *seq) {
    const struct mailbox *box = detector->mailbox;
    if (!box || box->mail.current >= box->mail.count) return NULL;
    *seq = box->seqs[box->mail.current];
    return box->messages[box->mail.current];
}

/* mail_value(n) → the table that message n brings, counted from 0 */
static int mail_value(lua_State *lua) {
    const struct detector *detector = detector_of(lua);
    const struct mailbox *box = detector->mailbox;
    uint32_t n = (uint32_t)luaL_checkinteger(lua, 1);
    if (!box || n >= box->mail.count) return luaL_error(lua, "there is no such message");
    const struct lunette_message *message = &box->mail.messages[n];
    struct plain_reader reader = {.in = cursor_over(message->value, message->value_length)};
    luaL_checkstack(lua, 4 * PLAIN_DEPTH + 16, "the stack");
    if (!plain_read(&reader, lua, 0)) return luaL_error(lua, "the message cannot be read");
    return 1;
}

/* gathers(): the script has a part that gathers */
static int mail_gathers(lua_State *lua) {
    detector_of(lua)->gathers = true;
    return 0;
}

/* gather_begins(): what is run from here is that part; before it the body was run once more */
static int mail_gather_begins(lua_State *lua) {
    detector_of(lua)->hushed = false;
    return 0;
}

/* hears(): that part asks for the alerts of others */
static int mail_hears(lua_State *lua) {
    detector_of(lua)->overhears = true;
    return 0;
}

void mail_bind(lua_State *lua, struct detector *detector) {
    static const luaL_Reg functions[] = {
        {"send_table", mail_send_table},       {"mail_value", mail_value}, {"gathers", mail_gathers},
        {"gather_begins", mail_gather_begins}, {"hears", mail_hears},
    };
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        bindings_add(lua, detector, functions[i].name, functions[i].func);
    lua_pushboolean(lua, detector->mailbox != NULL);
    lua_setfield(lua, -2, "is_gathering");
}
