/* See trial.h. */
#include "workbench/trial.h"

#include "base/log.h"
#include "script/embedded.h"
#include "script/watchdog.h"
#include "sensor/worker.h"
#include "workbench/frame.h"
#include "workbench/trial_state.h"

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>
#include <stdlib.h>

enum {
    TRIAL_MEMORY = 256 << 20,
    TRIAL_STEPS =
        300 * 1000 * 1000, /* of the interpreter, for the body and as many for the case: some seconds */
    TRIAL_SECONDS = 10,    /* of CPU time, for what no step is counted of: a pattern that tries too much */
    SAID_MOST = 64 << 10,
};

/* ── outcomes ────────────────────────────────────────────────────── */

void trial_fail(struct trial *trial, enum verdict verdict, uint32_t line, const char *text) {
    struct trial_outcome *outcome = trial->outcome;
    if (verdict > outcome->verdict) outcome->verdict = verdict;
    if (outcome->failure_count == TRIAL_FAILURES) return;
    struct trial_failure *grown = realloc(outcome->failures, (outcome->failure_count + 1) * sizeof *grown);
    if (!grown) return;
    outcome->failures = grown;
    grown[outcome->failure_count].line = line;
    grown[outcome->failure_count].text = strdup(text);
    if (grown[outcome->failure_count].text) outcome->failure_count++;
}

void trial_outcome_clear(struct trial_outcome *outcome) {
    for (size_t i = 0; i < outcome->failure_count; i++) free(outcome->failures[i].text);
    free(outcome->failures);
    buffer_free(&outcome->said);
    *outcome = (struct trial_outcome){.verdict = VERDICT_PASSED};
}

void trial_cases_clear(struct trial_cases *cases) {
    for (size_t i = 0; i < cases->count; i++) {
        free(cases->list[i].label);
        free(cases->list[i].name);
    }
    for (size_t i = 0; i < cases->detector_count; i++) free(cases->detectors[i]);
    free(cases->detectors);
    free(cases->list);
    *cases = (struct trial_cases){.list = NULL};
}

/* ── the Lua state ───────────────────────────────────────────────── */

/* The name for messages: the path, or its last part if it is long (Lua cuts chunk names at 60 characters). */
static const char *chunk_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return strlen(path) > 50 && slash ? slash + 1 : path;
}

static void on_budget(lua_State *lua, lua_Debug *where) {
    void *heap;
    (void)where;
    lua_getallocf(lua, &heap);
    heap_give_up(heap);
}

static int take_call(lua_State *lua, const char *name) {
    lua_getfield(lua, -1, name);
    return luaL_ref(lua, LUA_REGISTRYINDEX);
}

static int boot(lua_State *lua) {
    struct trial *trial = lua_touserdata(lua, 1);
    const struct embedded_file *text = embedded_find("test-boot.lua");
    luaL_openlibs(lua);
    luaJIT_setmode(lua, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    if (luaL_loadbuffer(lua, text->text, text->size, "=test-boot.lua") != 0) return lua_error(lua);
    lua_newtable(lua);
    trial_host_push(lua, trial);
    lua_setfield(lua, -2, "host");
    lua_pushstring(lua, trial->options->path);
    lua_setfield(lua, -2, "path");
    lua_pushstring(lua, trial->options->scripts);
    lua_setfield(lua, -2, "scripts");
    lua_pushstring(lua, chunk_name(trial->options->path));
    lua_setfield(lua, -2, "chunk");
    lua_call(lua, 1, 1);
    trial->call_load = take_call(lua, "load");
    trial->call_run = take_call(lua, "run");
    trial->call_judge = take_call(lua, "judge");
    return 0;
}

static int load_file(lua_State *lua) {
    struct trial *trial = lua_touserdata(lua, 1);
    lua_sethook(lua, on_budget, LUA_MASKCOUNT, TRIAL_STEPS);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, trial->call_load);
    lua_pushstring(lua, trial->options->path);
    lua_call(lua, 1, 0);
    return 0;
}

static int run_case(lua_State *lua) {
    struct trial *trial = lua_touserdata(lua, 1);
    lua_sethook(lua, on_budget, LUA_MASKCOUNT, TRIAL_STEPS);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, trial->call_run);
    lua_pushinteger(lua, (lua_Integer)trial->number);
    lua_call(lua, 1, 0);
    return 0;
}

static int judge(lua_State *lua) {
    struct trial *trial = lua_touserdata(lua, 1);
    lua_sethook(lua, on_budget, LUA_MASKCOUNT, TRIAL_STEPS);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, trial->call_judge);
    heard_push(&trial->heard, lua);
    lua_call(lua, 1, 0);
    return 0;
}

static uint32_t case_line(const struct trial *trial) {
    return trial->cases && trial->number > 0 && trial->number <= trial->cases->count
               ? trial->cases->list[trial->number - 1].line
               : 0;
}

/* The state is lost: what is in its memory is in no order any more. */
static void lose_state(struct trial *trial, int why) {
    char text[128];
    heap_free(trial->heap);
    trial->heap = NULL;
    trial->lua = NULL;
    if (why == HEAP_LATE)
        snprintf(text, sizeof text,
                 "the test does not come to its end (an endless loop, or a pattern that tries too much?)");
    else
        snprintf(text, sizeof text, "not enough memory: a test may have %d MiB", TRIAL_MEMORY >> 20);
    trial_fail(trial, VERDICT_ERROR, case_line(trial), text);
}

/* Calls a function of the state, protected in every way. True if it came back in good order. */
static bool trial_enter(struct trial *trial, lua_CFunction function) {
    struct watch watch = {.heap = trial->heap, .limit = TRIAL_SECONDS * NS_PER_SECOND};
    jmp_buf escape;
    watchdog_enter(&watch);
    int why = setjmp(escape);
    if (why) {
        watchdog_leave(&watch);
        lose_state(trial, why);
        return false;
    }
    heap_escape_to(trial->heap, &escape);
    if (!trial->lua) trial->lua = lua_newstate(heap_allocate, trial->heap);
    watch.lua = trial->lua;
    int status = trial->lua ? lua_cpcall(trial->lua, function, trial) : LUA_ERRMEM;
    bool told = status && trial->lua && lua_type(trial->lua, -1) == LUA_TSTRING;
    watchdog_leave(&watch);
    heap_escape_to(trial->heap, NULL);
    if (status == 0) return true;
    trial_fail(trial, VERDICT_ERROR, case_line(trial),
               told ? lua_tostring(trial->lua, -1) : "the test raised no string");
    return false;
}

/* ── life ────────────────────────────────────────────────────────── */

static void on_log(void *context, enum log_level level, const char *text) {
    struct trial *trial = context;
    struct buffer *said = &trial->outcome->said;
    if (level == LOG_ERROR) snprintf(trial->last_error, sizeof trial->last_error, "%s", text);
    if (said->length + strlen(text) > SAID_MOST) return;
    buffer_string(said, text);
    buffer_char(said, '\n');
}

static bool trial_open(struct trial *trial, const struct trial_options *options,
                       struct trial_cases *collected, struct trial_outcome *outcome) {
    *trial = (struct trial){
        .options = options, .collected = collected, .outcome = outcome, .random = 0x9e3779b97f4a7c15u};
    *outcome = (struct trial_outcome){.verdict = VERDICT_PASSED};
    trial->heap = heap_new(TRIAL_MEMORY);
    trial->story = story_new();
    trial->frame = malloc(FRAME_MOST);
    log_divert(on_log, trial);
    if (!trial->heap || !trial->story || !trial->frame) {
        trial_fail(trial, VERDICT_ERROR, 0, "out of memory");
        return false;
    }
    return trial_enter(trial, boot) && trial_enter(trial, load_file) && outcome->verdict == VERDICT_PASSED;
}

static void trial_close(struct trial *trial) {
    log_divert(NULL, NULL);
    if (trial->lua) lua_close(trial->lua);
    heap_free(trial->heap);
    story_free(trial->story);
    made_words_free(&trial->words);
    made_event_free(&trial->event);
    heard_clear(&trial->heard);
    for (size_t i = 0; i < trial->detector_count; i++) free(trial->detectors[i]);
    for (size_t i = 0; i < trial->setting_count; i++) {
        free((char *)trial->settings[i].detector);
        free((char *)trial->settings[i].key);
        free((char *)trial->settings[i].value);
    }
    audits_free(trial->audits);
    free(trial->home);
    free(trial->frame);
}

void trial_list(const struct trial_options *options, struct trial_cases *cases,
                struct trial_outcome *outcome) {
    struct trial trial;
    *cases = (struct trial_cases){.list = NULL};
    trial_open(&trial, options, cases, outcome);
    trial_close(&trial);
}

/* ── playing ─────────────────────────────────────────────────────── */

static void on_alert(void *context, const struct alert *alert) {
    heard_alert(context, alert);
}

static void on_report(void *context, const struct report *report) {
    heard_report(context, report);
}

static void on_fact(void *context, const struct fact *fact) {
    heard_fact(context, fact);
}

/* "--set NAME.key: there is no such tunable" is said at the line of c:set. */
static void rig_refused(struct trial *trial, const char *why) {
    static const char option[] = "--set ";
    char text[sizeof((struct error *)0)->text + 16];
    uint32_t line = case_line(trial);
    bool setting = strncmp(why, option, strlen(option)) == 0;
    snprintf(text, sizeof text, "%s%s", setting ? "c:set: " : "", why + (setting ? strlen(option) : 0));
    for (size_t i = 0; setting && i < trial->setting_count; i++) {
        const char *key = strchr(text, '.');
        size_t length = strlen(trial->settings[i].key);
        if (key && strncmp(key + 1, trial->settings[i].key, length) == 0 && key[1 + length] == ':')
            line = trial->setting_lines[i];
    }
    trial_fail(trial, VERDICT_ERROR, line, text);
}

/* Did every detector load, and stay well? */
static void check_detectors(struct trial *trial, struct script_host *host) {
    char text[sizeof trial->last_error + 128];
    if (script_host_failed(host) > 0) {
        snprintf(text, sizeof text, "%s", trial->last_error);
        trial_fail(trial, VERDICT_ERROR, case_line(trial), text);
    }
    for (uint32_t i = 0; i < script_host_count(host); i++) {
        struct detector_status status;
        script_host_status(host, i, &status);
        if (status.errors == 0 && !status.off) continue;
        snprintf(text, sizeof text, "the detector %s raised %llu error%s%s: %s", status.name,
                 (unsigned long long)status.errors, status.errors == 1 ? "" : "s",
                 status.off ? " and is switched off" : "", status.last_error);
        trial_fail(trial, VERDICT_ERROR, case_line(trial), text);
    }
}

static bool play(struct trial *trial, uint32_t batch, bool first, struct heard *heard) {
    struct error err;
    const struct rig_options options = {
        .scripts = {.paths = (const char *const *)trial->detectors,
                    .path_count = trial->detector_count,
                    .settings = trial->settings,
                    .setting_count = trial->setting_count,
                    .audits = trial->audits,
                    .quiet = !first},
        .batch_limit = batch,
        .home_networks = trial->home,
        .host_logs = story_host_logs(trial->story),
        .context = heard,
        .on_alert = on_alert,
        .on_report = on_report,
        .on_fact = on_fact,
    };
    struct rig *rig = rig_new(&options, &err);
    if (!rig) {
        rig_refused(trial, err.text);
        return false;
    }
    bool played = story_play(trial->story, rig, trial->home, trial->end, &err) == 0;
    if (played)
        rig_finish(rig);
    else
        trial_fail(trial, VERDICT_ERROR, case_line(trial), err.text);
    if (played && first) check_detectors(trial, worker_scripts(rig_worker(rig)));
    rig_free(rig);
    if (heard->failed) trial_fail(trial, VERDICT_ERROR, case_line(trial), "out of memory");
    return played && trial->outcome->verdict == VERDICT_PASSED;
}

enum { USUAL_BATCH = 256 };

static void play_again(struct trial *trial) {
    struct heard again = {.alerts = NULL};
    if (play(trial, 1, false, &again)) {
        ptrdiff_t at = heard_differ(&trial->heard, &again);
        char text[320];
        snprintf(text, sizeof text,
                 "the same packets, played again event by event, gave other alerts (from the %td. on; %zu "
                 "the first time, %zu now). Does the detector look at os.time or os.clock? Time is "
                 "lunette.now() and e.time",
                 at + 1, heard_alerts(&trial->heard), heard_alerts(&again));
        if (at >= 0) trial_fail(trial, VERDICT_FAILED, case_line(trial), text);
        const char *topic = at < 0 ? heard_facts_differ(&trial->heard, &again) : NULL;
        snprintf(text, sizeof text,
                 "the same packets, played again event by event, left another fact of the topic '%s'",
                 topic ? topic : "");
        if (topic) trial_fail(trial, VERDICT_FAILED, case_line(trial), text);
    }
    heard_clear(&again);
}

/* The file of a case's packets: LABEL-NUMBER-NAME.pcapng, with what a file's name should not have left
 * out. */
static void keep_packets(struct trial *trial) {
    const struct trial_case *own = &trial->cases->list[trial->number - 1];
    char name[96], path[4096];
    struct error err;
    snprintf(name, sizeof name, "%s-%zu-%s", own->label, trial->number, own->name);
    for (char *c = name; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '_'))
            *c = '-';
    if (snprintf(path, sizeof path, "%s/%s.pcapng", trial->options->keep, name) >= (int)sizeof path) return;
    if (story_save(trial->story, path, own->name, &err) < 0)
        trial_fail(trial, VERDICT_ERROR, own->line, err.text);
}

void trial_run(const struct trial_options *options, const struct trial_cases *cases, size_t number,
               struct trial_outcome *outcome) {
    nanoseconds began = time_monotonic();
    struct trial trial;
    if (trial_open(&trial, options, NULL, outcome)) {
        trial.cases = cases;
        trial.number = number + 1;
        if (trial_enter(&trial, run_case) && trial.told) {
            if (options->keep) keep_packets(&trial);
            if (play(&trial, USUAL_BATCH, true, &trial.heard)) {
                trial_enter(&trial, judge);
                if (!options->once) play_again(&trial);
            }
        }
    }
    trial_close(&trial);
    outcome->took = time_monotonic() - began;
}
