/* What detectors want of the payload of flows (lunette.stream): told to the flow room as wishes, whose
 * numbers come back with each `stream` event.
 *
 * A number belongs to one declaration of one loaded detector. When detectors come and go, the numbers of
 * those that stay remain theirs, so that they go on reading the flows that they read. */
#include "script/state.h"

#include "base/log.h"
#include "flow/key.h"
#include "script/entry.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

static const struct stream_wish *wish_of(const struct detector *detector, uint32_t handler) {
    return detector->streams ? detector->streams->wish[handler] : NULL;
}

/* ----------------------------------------------------------------- the host */

static bool is_loaded(const struct script_host *host, const struct detector *detector) {
    for (uint32_t i = 0; i < host->count; i++)
        if (host->detectors[i] == detector) return true;
    return false;
}

static void give_number(struct script_host *host, struct detector *detector, uint32_t handler) {
    for (uint32_t n = 0; n < FLOW_WISHES; n++) {
        if (host->wishes[n]) continue;
        host->wishes[n] = detector;
        detector->streams->number[handler] = (int8_t)n;
        detector->streams->room = host->room;
        flow_room_listen(host->room, n, wish_of(detector, handler));
        return;
    }
    if (!host->options.quiet)
        log_line(LOG_ERROR,
                 "detector %s: more than %d streams are asked for by all detectors: this one is not "
                 "heard",
                 detector->name, FLOW_WISHES);
}

void host_streams_refresh(struct script_host *host) {
    if (!host->room) return;
    for (uint32_t n = 0; n < FLOW_WISHES; n++) {
        if (!host->wishes[n]) continue;
        bool stays = is_loaded(host, host->wishes[n]) && !host->wishes[n]->off;
        if (stays) continue;
        flow_room_listen(host->room, n, NULL);
        host->wishes[n] = NULL;
    }
    for (uint32_t i = 0; i < host->count; i++) {
        struct detector *detector = host->detectors[i];
        for (uint32_t h = 0; h < DETECTOR_HANDLERS && wish_of(detector, h) && !detector->off; h++)
            if (detector->streams->number[h] < 0) give_number(host, detector, h);
    }
}

void host_streams_dismiss(struct script_host *host) {
    for (uint32_t n = 0; n < FLOW_WISHES; n++) {
        if (!host->wishes[n] || !host->wishes[n]->off) continue;
        flow_room_listen(host->room, n, NULL);
        /* The number stays taken until the next load: its bit may still be in events of this batch. */
    }
}

void script_host_listen(struct script_host *host, struct flow_room *room) {
    host->room = room;
    host_streams_refresh(host);
}

/* -------------------------------------------------------------- the detector */

uint32_t detector_streams_for(const struct detector *detector, const struct event_stream *event) {
    uint32_t mask = 0;
    for (uint32_t h = 0; h < DETECTOR_HANDLERS && wish_of(detector, h); h++) {
        int number = detector->streams->number[h];
        if (number >= 0 && event->body.wishes >> number & 1) mask |= 1u << h;
    }
    return mask;
}

void detector_streams_free(struct detector *detector) {
    for (uint32_t h = 0; detector->streams && h < DETECTOR_HANDLERS; h++) free(detector->streams->wish[h]);
    free(detector->streams);
}

static void add_ports(lua_State *lua, int list, struct stream_wish *wish) {
    size_t count = lua_objlen(lua, list);
    for (size_t i = 1; i <= count && wish->port_count < WISH_PORTS; i++) {
        lua_rawgeti(lua, list, (int)i);
        wish->ports[wish->port_count++] = (uint16_t)lua_tointeger(lua, -1);
        lua_pop(lua, 1);
    }
}

static void add_starts(lua_State *lua, int list, struct stream_wish *wish, enum direction direction) {
    size_t count = lua_objlen(lua, list);
    for (size_t i = 1; i <= count && wish->start_count[direction] < WISH_STARTS; i++) {
        size_t length;
        lua_rawgeti(lua, list, (int)i);
        const char *text = lua_tolstring(lua, -1, &length);
        if (text && length > 0 && length <= WISH_PREFIX) {
            struct stream_start *start = &wish->starts[direction][wish->start_count[direction]++];
            start->length = (uint8_t)length;
            memcpy(start->bytes, text, length);
        }
        lua_pop(lua, 1);
    }
}

/* stream(is_udp, ports, client starts, server starts) → number of the handler, nil if there are too many. The
 * lists were checked: stream.lua. */
int host_stream(lua_State *lua) {
    struct detector *detector = lua_touserdata(lua, lua_upvalueindex(1));
    struct subscription **place = &detector->subscriptions[EVENT_stream];
    if (!*place) *place = calloc(1, sizeof **place);
    if (!detector->streams) detector->streams = calloc(1, sizeof *detector->streams);
    if (!*place || !detector->streams || (*place)->count == DETECTOR_HANDLERS) return 0;
    struct stream_wish *wish = calloc(1, sizeof *wish);
    if (!wish) return 0;
    uint32_t handler = (*place)->count++;
    detector->streams->wish[handler] = wish;
    detector->streams->number[handler] = -1;
    detector->beside_heap += sizeof *wish;
    wish->proto = lua_toboolean(lua, 1) ? PROTO_UDP : PROTO_TCP;
    add_ports(lua, 2, wish);
    add_starts(lua, 3, wish, TO_SERVER);
    add_starts(lua, 4, wish, TO_CLIENT);
    lua_pushinteger(lua, (lua_Integer)handler);
    return 1;
}

/* hush(handler, tap, flow id, is to server): no more of that direction */
int host_hush(lua_State *lua) {
    struct detector *detector = lua_touserdata(lua, lua_upvalueindex(1));
    uint32_t handler = (uint32_t)luaL_checkinteger(lua, 1);
    bool known = handler < DETECTOR_HANDLERS && wish_of(detector, handler);
    if (!known || detector->streams->number[handler] < 0) return 0;
    flow_room_hush(detector->streams->room, (uint32_t)luaL_checknumber(lua, 2),
                   (uint64_t)luaL_checknumber(lua, 3), (unsigned)detector->streams->number[handler],
                   lua_toboolean(lua, 4) ? TO_SERVER : TO_CLIENT);
    return 0;
}
