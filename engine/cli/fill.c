/* See fill.h: values that were checked when they were read become the options of a run. */
#include "cli/fill.h"

#include "base/log.h"
#include "cli/word_check.h"
#include "script/shipped.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FRAGMENT_MEMORY = 16 << 20 };

void filling_clear(struct filling *filling) {
    free(filling->settings);
    free(filling->setting_text);
    free(filling->home_networks);
    audits_free(filling->audits);
    *filling = (struct filling){.settings = NULL};
}

/* NULL for what was not given, and for "none". */
static const char *path_or_none(const struct values *values, enum option_id id) {
    const char *path = value_text(values, id);
    return path && strcmp(path, "none") != 0 ? path : NULL;
}

static nanoseconds nanoseconds_of(const struct values *values, enum option_id id) {
    return (nanoseconds)(value_number(values, id) * (double)NS_PER_SECOND);
}

/* Words with something between them, in one string of its own. */
static char *joined(const struct value *value, char between, struct error *err) {
    size_t size = 1;
    for (uint32_t i = 0; i < value->count; i++) size += strlen(value->words[i]) + 1;
    char *text = malloc(size), *out = text;
    if (!text) error_set(err, "out of memory");
    for (uint32_t i = 0; text && i < value->count; i++) {
        out = stpcpy(out, value->words[i]);
        *out++ = between;
    }
    if (text) *(out > text && between ? out - 1 : out) = '\0';
    return text;
}

/* ── scripts ─────────────────────────────────────────────────────── */

/* "beacon.score=4": cut at the first dot and the first equals sign, as check_setting() found them. */
static int fill_settings(struct script_options *scripts, const struct values *values, struct filling *filling,
                         struct error *err) {
    const struct value *value = &values->of[OPTION_SET];
    filling->settings = calloc((size_t)value->count + 1, sizeof *filling->settings);
    filling->setting_text = joined(value, '\0', err);
    if (!filling->settings || !filling->setting_text) return error_set(err, "out of memory");
    char *text = filling->setting_text;
    for (uint32_t i = 0; i < value->count; i++) {
        char *next = text + strlen(text) + 1, *dot = strchr(text, '.'), *equals = strchr(text, '=');
        *dot = *equals = '\0';
        filling->settings[i] = (struct setting){.detector = text, .key = dot + 1, .value = equals + 1};
        text = next;
    }
    scripts->settings = filling->settings;
    scripts->setting_count = value->count;
    return 0;
}

/* The detectors that come with the program. */
static int find_shipped_scripts(struct script_options *scripts, struct filling *filling, struct error *err) {
    if (!script_shipped_folder(filling->shipped, sizeof filling->shipped))
        return error_set(err,
                         "the shipped detectors were not found beside the program; name some with -s, or "
                         "--no-scripts");
    filling->shipped_path = filling->shipped;
    scripts->paths = &filling->shipped_path;
    scripts->path_count = 1;
    return 0;
}

int fill_scripts(struct script_options *scripts, const struct values *values, struct filling *filling,
                 struct error *err) {
    if (fill_settings(scripts, values, filling, err) < 0) return -1;
    scripts->memory_limit = (size_t)value_number(values, OPTION_SCRIPT_MEMORY);
    nanoseconds limit = nanoseconds_of(values, OPTION_SCRIPT_TIME);
    scripts->time_limit = limit > 0 ? limit : SCRIPT_TIME_FREE;
    scripts->paths = value_words(values, OPTION_SCRIPT);
    scripts->path_count = values->of[OPTION_SCRIPT].count;
    /* a -s on the command line comes before a no_scripts in the configuration */
    bool outdone = values->of[OPTION_SCRIPT].origin > values->of[OPTION_NO_SCRIPTS].origin;
    if (value_flag(values, OPTION_NO_SCRIPTS) && !outdone)
        scripts->path_count = 0;
    else if (scripts->path_count == 0)
        return find_shipped_scripts(scripts, filling, err);
    return 0;
}

/* ── outputs ─────────────────────────────────────────────────────── */

static void fill_record(struct output_options *outputs, const struct value *value) {
    if (!value->given) return;
    memset(outputs->record, 0, sizeof outputs->record);
    outputs->record_alerts = outputs->record_reports = outputs->record_stats = false;
    outputs->record_hosts = false;
    outputs->record_custom = false;
    outputs->custom = (const char *const *)value->words;
    outputs->custom_count = value->count;
    for (uint32_t i = 0; i < value->count; i++) {
        const char *word = value->words[i];
        enum event_kind kind = event_kind_named(word);
        if (kind != EVENT_head) outputs->record[kind] = true;
        outputs->record_alerts |= strcmp(word, "alert") == 0;
        outputs->record_reports |= strcmp(word, "report") == 0;
        outputs->record_stats |= strcmp(word, "stats") == 0;
        outputs->record_hosts |= strcmp(word, "host") == 0;
    }
}

static void fill_outputs(struct output_options *outputs, const struct values *values) {
    bool quiet = value_flag(values, OPTION_QUIET);
    *outputs = output_options_defaults();
    outputs->records = value_words(values, OPTION_OUTPUT);
    outputs->record_count = values->of[OPTION_OUTPUT].count;
    fill_record(outputs, &values->of[OPTION_RECORD]);
    outputs->receiver.rotate_bytes = (uint64_t)value_number(values, OPTION_ROTATE_SIZE);
    outputs->receiver.rotate_seconds = (uint64_t)value_number(values, OPTION_ROTATE_EVERY);
    outputs->receiver.rotate_keep = (uint32_t)value_number(values, OPTION_ROTATE_KEEP);
    outputs->receiver.spool_folder = path_or_none(values, OPTION_SPOOL);
    outputs->receiver.spool_bytes = (uint64_t)value_number(values, OPTION_SPOOL_SIZE);
    outputs->show_alerts = !quiet && !value_flag(values, OPTION_NO_ALERTS);
    outputs->show_summary = !quiet && !value_flag(values, OPTION_NO_SUMMARY);
    outputs->show_progress = !quiet;
    outputs->host_cards = (uint32_t)value_number(values, OPTION_HOSTS);
    outputs->colour = (enum colour_choice)value_number(values, OPTION_COLOR);
}

/* ── all of it ───────────────────────────────────────────────────── */

static int fill_home(const char **home_networks, const struct values *values, struct filling *filling,
                     struct error *err) {
    if (values->of[OPTION_HOME_NET].count == 0) return 0;
    *home_networks = filling->home_networks = joined(&values->of[OPTION_HOME_NET], ',', err);
    return filling->home_networks ? 0 : -1;
}

static int fill_host_logs(struct endpoint_logs *logs, const struct values *values, struct error *err) {
    logs->words = value_words(values, OPTION_HOST_LOG);
    logs->count = values->of[OPTION_HOST_LOG].count;
    logs->offsets = value_words(values, OPTION_HOST_CLOCK_OFFSET);
    logs->offset_count = values->of[OPTION_HOST_CLOCK_OFFSET].count;
    if (logs->count == 0 && logs->offset_count > 0) {
        error_set(err, "--host-clock-offset %s sets the clock of a --host-log right, and there is none",
                  logs->offsets[0]);
        return error_is_usage(err);
    }
    uint32_t pipes = 0;
    for (size_t i = 0; i < logs->count; i++) pipes += strcmp(hosts_path(logs->words[i]), "-") == 0;
    if (pipes <= 1) return 0;
    error_set(err, "--host-log -: standard input can be read once only");
    return error_is_usage(err);
}

/* What --audit names is read here, once: detectors only look at it. */
int fill_audits(struct script_options *scripts, const struct values *values, struct filling *filling,
                struct error *err) {
    const struct value *value = &values->of[OPTION_AUDIT];
    struct error why;
    if (value->count == 0) return 0;
    filling->audits = audits_new(err);
    if (!filling->audits) return -1;
    for (uint32_t i = 0; i < value->count; i++)
        if (audits_add_word(filling->audits, value->words[i], &why) < 0)
            return error_set(err, "--audit %.900s", why.text);
    scripts->audits = filling->audits;
    return 0;
}

int check_one_stdin(const struct endpoint_logs *logs, const char *const *captures, size_t count,
                    struct error *err) {
    bool log = false, capture = false;
    for (size_t i = 0; i < logs->count; i++) log |= strcmp(hosts_path(logs->words[i]), "-") == 0;
    for (size_t i = 0; i < count; i++) capture |= strcmp(captures[i], "-") == 0;
    if (!log || !capture) return 0;
    error_set(err, "-: standard input is the capture or the --host-log, not both");
    return error_is_usage(err);
}

int fill_replay(struct replay_options *replay, const struct values *values, struct filling *filling,
                struct error *err) {
    *replay = (struct replay_options){
        .filter = value_text(values, OPTION_FILTER),
        .workers = (uint32_t)value_number(values, OPTION_WORKERS),
        .batch_limit = (uint32_t)value_number(values, OPTION_BATCH),
        .fragment_memory = FRAGMENT_MEMORY,
        .flow = flow_config_defaults(),
    };
    replay->flow.max_flows = (uint32_t)value_number(values, OPTION_MAX_FLOWS);
    if (fill_host_logs(&replay->host_logs, values, err) < 0) return -1;
    fill_outputs(&replay->outputs, values);
    if (fill_home(&replay->home_networks, values, filling, err) < 0) return -1;
    if (fill_audits(&replay->scripts, values, filling, err) < 0) return -1;
    return fill_scripts(&replay->scripts, values, filling, err);
}

static void fill_recall(struct recall_options *recall, const struct values *values) {
    *recall = recall_options_defaults();
    recall->folder = path_or_none(values, OPTION_PCAP_ON_ALERT);
    recall->ring_bytes = (uint64_t)value_number(values, OPTION_PCAP_RING);
    recall->before = nanoseconds_of(values, OPTION_PCAP_BEFORE);
    recall->after = nanoseconds_of(values, OPTION_PCAP_AFTER);
    recall->file_bytes = (uint64_t)value_number(values, OPTION_PCAP_FILE_SIZE);
    recall->files = (uint32_t)value_number(values, OPTION_PCAP_FILES);
}

static int fill_control(const char **control, const struct values *values, struct filling *filling,
                        struct error *err) {
    if (values->of[OPTION_CONTROL].count) {
        *control = path_or_none(values, OPTION_CONTROL);
        return 0;
    }
    *control = filling->control;
    return control_path_default(filling->control, err);
}

int fill_live(struct live_options *live, const struct values *values, struct filling *filling,
              struct error *err) {
    *live = live_options_defaults();
    live->interfaces = value_words(values, OPTION_INTERFACE);
    live->interface_count = values->of[OPTION_INTERFACE].count;
    live->filter = value_text(values, OPTION_FILTER);
    live->workers = (uint32_t)value_number(values, OPTION_WORKERS);
    live->dealing = (enum tap_dealing)value_number(values, OPTION_DEALING);
    live->ring_bytes = (uint32_t)value_number(values, OPTION_RING);
    live->snap_length = (uint32_t)value_number(values, OPTION_SNAP_LENGTH);
    live->promiscuous = !value_flag(values, OPTION_NO_PROMISCUOUS);
    live->batch_limit = (uint32_t)value_number(values, OPTION_BATCH);
    live->fragment_memory = FRAGMENT_MEMORY;
    live->flow = flow_config_defaults();
    live->flow.max_flows = (uint32_t)value_number(values, OPTION_MAX_FLOWS);
    live->privilege = (struct privilege_options){
        .user = value_text(values, OPTION_USER),
        .keep_capture = true,
        .filter_calls = !value_flag(values, OPTION_NO_SECCOMP),
    };
    live->metrics = value_text(values, OPTION_METRICS);
    live->state_folder = path_or_none(values, OPTION_STATE);
    live->state_interval = value_number(values, OPTION_STATE_EVERY);
    live->stats_interval = value_number(values, OPTION_STATS_EVERY);
    live->host_interval = value_number(values, OPTION_HOST_RECORDS);
    live->watch = !value_flag(values, OPTION_NO_WATCH);
    if (fill_host_logs(&live->host_logs, values, err) < 0) return -1;
    fill_outputs(&live->outputs, values);
    fill_recall(&live->recall, values);
    if (fill_home(&live->home_networks, values, filling, err) < 0) return -1;
    if (fill_control(&live->control, values, filling, err) < 0) return -1;
    if (fill_audits(&live->scripts, values, filling, err) < 0) return -1;
    return fill_scripts(&live->scripts, values, filling, err);
}

int fill_log(const struct values *values, struct error *err) {
    const char *path = path_or_none(values, OPTION_LOG);
    log_set_level((enum log_level)value_number(values, OPTION_LOG_LEVEL));
    log_set_format((enum log_format)value_number(values, OPTION_LOG_FORMAT));
    return path ? log_open(path, err) : 0;
}
