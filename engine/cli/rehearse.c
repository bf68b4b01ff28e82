/* Detectors are loaded into a host of their own, for a batch that never sees a packet; then all is thrown
 * away. */
#include "cli/rehearse.h"

#include "base/log.h"
#include "cli/fill.h"
#include "script/host.h"
#include "sensor/privilege.h"

#include <fnmatch.h>
#include <net/if.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

/* ── where it was said ───────────────────────────────────────────── */

/* "lunette.lua:12: set.beacon.scor: …" of "--set beacon.scor: …", if the configuration said so. */
static int blame(const struct values *values, enum option_id id, struct error *err) {
    static const char on_command_line[] = "--set ";
    const struct value *value = &values->of[id];
    const char *file = value_text(values, OPTION_CONFIG), *text = err->text;
    char key[OPTION_NAME_SIZE];
    if (value->origin != BY_CONFIG || !file) return -1;
    bool named = strncmp(text, on_command_line, strlen(on_command_line)) == 0;
    struct error said = *err;
    text = said.text + (named ? strlen(on_command_line) : 0);
    error_set(err, "%s:%u: %s%s%s", file, value->line, option_key(id, key), named ? "." : ": ", text);
    return -1;
}

/* ── detectors ───────────────────────────────────────────────────── */

static void ignore_event(void *context, enum event_kind kind, const void *event, const struct batch *batch) {
    (void)context, (void)kind, (void)event, (void)batch;
}

static void ignore_alert(void *context, const struct alert *alert) {
    (void)context, (void)alert;
}

static void ignore_report(void *context, const struct report *report) {
    (void)context, (void)report;
}

static int load(const struct values *values, const struct script_options *scripts, struct batch *batch,
                struct error *err) {
    const struct script_sink sink = {
        .on_event = ignore_event, .on_alert = ignore_alert, .on_report = ignore_report};
    struct script_host *host = script_host_new(scripts, batch, &sink, err);
    if (!host) return blame(values, strncmp(err->text, "--set ", 6) == 0 ? OPTION_SET : OPTION_SCRIPT, err);
    uint32_t failed = script_host_failed(host), loaded = script_host_count(host);
    const struct value *records = &values->of[OPTION_RECORD];
    int outcome = 0;
    for (uint32_t i = 0; i < records->count && outcome == 0 && !failed; i++) {
        const char *name = records->words[i];
        if (!strchr(name, '.') || script_host_declares(host, name)) continue;
        error_set(err, "no script declares an event '%s'", name);
        outcome = blame(values, OPTION_RECORD, err);
    }
    script_host_free(host);
    if (!failed) return outcome;
    return error_set(err, "%u of %u detectors cannot be loaded", failed, failed + loaded);
}

static int rehearse_scripts(const struct values *values, struct error *err) {
    struct filling filling = {.settings = NULL};
    struct script_options scripts = {.paths = NULL};
    struct batch *batch = batch_new((uint32_t)value_number(values, OPTION_BATCH), err);
    int outcome = batch ? fill_scripts(&scripts, values, &filling, err) : -1;
    if (outcome == 0 && fill_audits(&scripts, values, &filling, err) < 0)
        outcome = blame(values, OPTION_AUDIT, err);
    if (outcome == 0) outcome = load(values, &scripts, batch, err);
    batch_free(batch);
    filling_clear(&filling);
    return outcome;
}

/* ── the user ────────────────────────────────────────────────────── */

/* Who checks need not be who starts it: only that there is such a user counts then. */
static int rehearse_user(const struct values *values, struct error *err) {
    const struct privilege_options options = {.user = value_text(values, OPTION_USER)};
    if (!options.user || privilege_check(&options, err) == 0) return 0;
    bool there = getpwnam(options.user) || options.user[strspn(options.user, "0123456789")] == '\0';
    if (geteuid() == 0 || !there) return blame(values, OPTION_USER, err);
    log_line(LOG_WARNING, "%s", err->text);
    return 0;
}

/* ── interfaces ──────────────────────────────────────────────────── */

static bool is_there(const char *pattern, const struct if_nameindex *present) {
    if (strcmp(pattern, "any") == 0 || strcmp(pattern, "pktap") == 0) return true;
    for (; present && present->if_index > 0; present++)
        if (fnmatch(pattern, present->if_name, 0) == 0) return true;
    return false;
}

static void look_for_interfaces(const struct values *values) {
    struct if_nameindex *present = if_nameindex();
    for (uint32_t i = 0; i < values->of[OPTION_INTERFACE].count; i++) {
        const char *pattern = values->of[OPTION_INTERFACE].words[i];
        if (!is_there(pattern, present))
            log_line(LOG_WARNING, "there is no interface %s on this machine now", pattern);
    }
    if (present) if_freenameindex(present);
}

int rehearse(unsigned command, const struct values *values, struct error *err) {
    bool live = command == FOR_LIVE;
    if (live && rehearse_user(values, err) < 0) return -1;
    if (rehearse_scripts(values, err) < 0) return -1;
    if (live) look_for_interfaces(values);
    return 0;
}
