/* See profiling.h. The engine's own share is what the run took without the detectors. */
#include "workbench/profiling.h"

#include "base/log.h"
#include "script/profile.h"
#include "sensor/worker.h"
#include "workbench/tool.h"

#include <stdlib.h>

struct profiling {
    const struct profiling_options *options;
    struct script_host *host, *gatherer; /* `gatherer` NULL: nothing gathers */
    double seconds;                      /* of the whole run */
    struct buffer *out;
    int failed;
};

static void set_number(lua_State *lua, const char *key, double value) {
    lua_pushnumber(lua, value);
    lua_setfield(lua, -2, key);
}

static void set_text(lua_State *lua, const char *key, const char *value) {
    lua_pushstring(lua, value);
    lua_setfield(lua, -2, key);
}

static void push_handler(lua_State *lua, const struct profile_handler *handler) {
    lua_newtable(lua);
    set_text(lua, "event", handler->what);
    set_text(lua, "at", handler->place);
    set_number(lua, "calls", (double)handler->calls);
    set_number(lua, "seconds", handler->seconds);
    set_number(lua, "bytes", (double)handler->bytes);
}

static void push_detector(lua_State *lua, struct profiling *profiling, struct detector *detector,
                          bool gathers) {
    struct detector_status status;
    detector_status(detector, &status);
    if (status.errors > 0) profiling->failed++;
    lua_newtable(lua);
    set_text(lua, "name", status.name);
    set_text(lua, "stage", gathers ? "gather" : "worker");
    set_text(lua, "path", detector_path(detector));
    set_number(lua, "events", (double)status.events);
    set_number(lua, "errors", (double)status.errors);
    set_text(lua, "last_error", status.last_error);
    set_number(lua, "memory", (double)status.memory);
    set_number(lua, "seconds", status.cpu_seconds);
    set_number(lua, "measuring", detector_profile_cost(detector));
    char *traces = detector_profile_traces(detector);
    if (traces) set_text(lua, "traces", traces);
    free(traces);
    lua_newtable(lua);
    for (uint32_t i = 0; i < detector_profile_count(detector); i++) {
        struct profile_handler handler;
        detector_profile(detector, i, &handler);
        push_handler(lua, &handler);
        lua_rawseti(lua, -2, (int)i + 1);
    }
    lua_setfield(lua, -2, "handlers");
}

static int report(lua_State *lua) {
    struct profiling *profiling = lua_touserdata(lua, 1);
    tool_push_part(lua, "profile_print.lua");
    tool_push_part(lua, "tool_json.lua");
    lua_call(lua, 0, 1);
    tool_push_part(lua, "profile_reasons.lua");
    lua_call(lua, 0, 1);
    lua_call(lua, 2, 1);
    lua_newtable(lua);
    set_number(lua, "seconds", profiling->seconds);
    set_number(lua, "top", profiling->options->top);
    lua_pushboolean(lua, profiling->options->json);
    lua_setfield(lua, -2, "json");
    lua_newtable(lua);
    int count = 0;
    for (uint32_t i = 0; i < script_host_count(profiling->host); i++) {
        push_detector(lua, profiling, script_host_detector(profiling->host, i), false);
        lua_rawseti(lua, -2, ++count);
    }
    for (uint32_t i = 0; profiling->gatherer && i < script_host_count(profiling->gatherer); i++) {
        push_detector(lua, profiling, script_host_detector(profiling->gatherer, i), true);
        lua_rawseti(lua, -2, ++count);
    }
    lua_setfield(lua, -2, "detectors");
    lua_call(lua, 1, 1);
    size_t size;
    const char *text = lua_tolstring(lua, -1, &size);
    buffer_put(profiling->out, text, size);
    return 0;
}

int profiling_run(const struct profiling_options *options, struct buffer *out, struct error *err) {
    struct profiling profiling = {.options = options, .out = out};
    struct rig_options rig_options = options->rig;
    rig_options.scripts.profile = true;
    struct rig *rig = rig_new(&rig_options, err);
    if (!rig) return -1;
    profiling.host = worker_scripts(rig_worker(rig));
    profiling.gatherer = rig_gatherer(rig);
    nanoseconds before = time_monotonic();
    int outcome = rig_captures(rig, options->captures, options->capture_count, NULL, err);
    if (outcome == 0) {
        rig_finish(rig);
        profiling.seconds = ns_to_seconds(time_monotonic() - before);
        profiling.failed = (int)script_host_failed(profiling.host);
        outcome = tool_run(report, &profiling, err);
    }
    rig_free(rig);
    return outcome < 0 ? -1 : profiling.failed;
}
