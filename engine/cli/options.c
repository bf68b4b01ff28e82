/* The table. What an option means is said in its help; how it is used, in cli/fill.c. */
#include "cli/options.h"

#include "audit/audits.h"
#include "base/nearest.h"
#include "cli/word_check.h"
#include "endpoint/hosts.h"

#include <stdio.h>
#include <string.h>

enum { ALL = FOR_REPLAY | FOR_LIVE, LIVE = FOR_LIVE, CLOCKED = FOR_LIVE | FOR_PACED };

static const char *const colours[] = {"auto", "never", "always", NULL};
static const char *const dealings[] = {"fanout", "share", NULL};
static const char *const log_levels[] = {"error", "warning", "info", "debug", NULL};
static const char *const log_formats[] = {"text", "timed", "json", NULL};

static const struct option_spec table[OPTION_COUNT] = {
    /* ── what is looked at, and by what ──────────────────────────── */
    [OPTION_INTERFACE] = {"interface", 'i', KIND_LIST, LIVE, GROUP_WHAT, "PATTERN",
                          "an interface by name, by pattern ('utun*'), or any; repeatable. Those that come "
                          "later are picked up",
                          .check = check_not_empty},
    [OPTION_SCRIPT] = {"script", 's', KIND_LIST, ALL, GROUP_WHAT, "PATH",
                       "a detector, or a folder of them; repeatable (default: the detectors shipped)",
                       .path = A_PATH, .reloads = true, .check = check_script},
    [OPTION_NO_SCRIPTS] = {"no-scripts", 0, KIND_FLAG, ALL, GROUP_WHAT, NULL, "run no detectors",
                           .reloads = true},
    [OPTION_SET] = {"set", 0, KIND_SETTINGS, ALL, GROUP_WHAT, "NAME.KEY=VALUE",
                    "set a detector's tunable; repeatable", .reloads = true, .check = check_setting},
    [OPTION_FILTER] = {"filter", 'f', KIND_TEXT, ALL, GROUP_WHAT, "EXPRESSION",
                       "a pcap-filter(7) expression: only packets that match are looked at",
                       .check = check_filter},
    [OPTION_HOME_NET] =
        {"home-net", 0, KIND_COMMAS, ALL, GROUP_WHAT, "CIDR,...",
         "your networks, all of them: these instead of the private and link-local ranges that are "
         "taken for yours by default",
         .check = check_network},
    [OPTION_HOST_LOG] =
        {"host-log", 0, KIND_LIST, ALL, GROUP_WHAT, "[ADDR=]FILE",
         "what a Mac tells of its programs: a log of eslogger, log --style ndjson, osquery or Santa; of the "
         "Mac with that address (or several, with commas), else of the capturing one; repeatable. `live` "
         "follows it as it grows",
         .path = A_HOST_LOG, .check = hosts_check_log},
    [OPTION_HOST_CLOCK_OFFSET] =
        {"host-clock-offset", 0, KIND_LIST, ALL, GROUP_WHAT, "S",
         "seconds added to the times in host logs, such as -1.5; ADDR=S for those of one Mac; repeatable",
         .check = hosts_check_offset},
    [OPTION_AUDIT] = {"audit", 0, KIND_LIST, ALL, GROUP_WHAT, "[ADDR=]FILE",
                      "what a Mac's own files say, as `lunette audit ROOT --json` wrote it, or a folder of "
                      "such files; of the Mac with "
                      "that address (or several, with commas), else of the one whose hardware or manual "
                      "address is in it; repeatable",
                      .path = A_HOST_LOG, .check = audits_check_word},
    [OPTION_WORKERS] = {"workers", 'w', KIND_NUMBER, ALL, GROUP_WHAT, "N",
                        "threads, each with its share of the local hosts", .initial = "1", .least = 1,
                        .most = 64},
    [OPTION_PACE] =
        {"pace", 0, KIND_TEXT, FOR_REPLAY, GROUP_WHAT, "PACE",
         "how fast packets come: max, or as a multiple of how they came, such as 1x, 10x or 0.5x. With "
         "anything but max the capture goes through the live loop, on its clock",
         .initial = "max", .check = check_pace},

    [OPTION_WATCH] = {"watch", 0, KIND_FLAG, FOR_REPLAY, GROUP_WHAT, NULL,
                      "run again whenever a script or its data is saved, and print how the alerts differ",
                      .no_key = true},

    [OPTION_EVENTS] = {"events", 0, KIND_FLAG, FOR_REPLAY, GROUP_WHAT, NULL,
                       "the files are records of events, JSON lines as -o writes them: detectors are given "
                       "the events again",
                       .no_key = true},

    /* ── what comes out ──────────────────────────────────────────── */
    [OPTION_OUTPUT] =
        {"output", 'o', KIND_LIST, ALL, GROUP_OUTPUT, "OUTPUT",
         "write records as JSON lines (Suricata EVE's shape) to a file, or - for standard output, "
         "unix:PATH, tcp:HOST:PORT, or alerts to syslog:, syslog:unix:PATH, syslog:udp:HOST:PORT, "
         "syslog:tcp:HOST:PORT; repeatable",
         .path = AN_OUTPUT, .check = check_not_empty},
    [OPTION_RECORD] =
        {"record", 0, KIND_COMMAS, ALL, GROUP_OUTPUT, "KIND,...",
         "which events to record, scripts' own included (default: all but packet, flow_start and onset)",
         .check = check_record},
    [OPTION_ROTATE_SIZE] = {"rotate-size", 0, KIND_SIZE, CLOCKED, GROUP_OUTPUT, "MIB",
                            "begin a new file of records at this size; 0: never", .initial = "0",
                            .most = 1 << 20},
    [OPTION_ROTATE_EVERY] = {"rotate-every", 0, KIND_DURATION, CLOCKED, GROUP_OUTPUT, "TIME",
                             "begin a new one this often, such as 1h or 1d; 0: never", .initial = "0",
                             .most = 366 * 86400},
    [OPTION_ROTATE_KEEP] = {"rotate-keep", 0, KIND_NUMBER, CLOCKED, GROUP_OUTPUT, "N",
                            "how many finished files are kept; 0: all", .initial = "0", .most = 1000000},
    [OPTION_SPOOL] = {"spool", 0, KIND_TEXT, CLOCKED, GROUP_OUTPUT, "DIR",
                      "where records wait for a socket that does not take them (default: in memory only)",
                      .path = A_PATH, .check = check_not_empty},
    [OPTION_SPOOL_SIZE] = {"spool-size", 0, KIND_SIZE, CLOCKED, GROUP_OUTPUT, "MIB",
                           "how much may wait there, for each output", .initial = "256", .least = 1,
                           .most = 16 << 20},
    [OPTION_NO_ALERTS] = {"no-alerts", 0, KIND_FLAG, CLOCKED, GROUP_OUTPUT, NULL,
                          "do not print alerts as they come", .initial = NULL},
    [OPTION_NO_SUMMARY] = {"no-summary", 0, KIND_FLAG, FOR_REPLAY, GROUP_OUTPUT, NULL, "print alerts only",
                           .initial = NULL},
    [OPTION_SUMMARY] = {"summary", 0, KIND_FLAG, LIVE, GROUP_OUTPUT, NULL, "print a summary at the end",
                        .initial = NULL},
    [OPTION_HOSTS] = {"hosts", 0, KIND_NUMBER, ALL, GROUP_OUTPUT, "N",
                      "how many hosts' cards are in the summary, the busiest first", .initial = "10",
                      .most = 100000},
    [OPTION_COLOR] = {"color", 0, KIND_CHOICE, ALL, GROUP_OUTPUT, "WHEN", "auto, always or never",
                      .initial = "auto", .choices = colours},
    [OPTION_QUIET] = {"quiet", 'q', KIND_FLAG, ALL, GROUP_OUTPUT, NULL, "print neither alerts nor summary",
                      .initial = NULL},

    /* ── how packets are taken ───────────────────────────────────── */
    [OPTION_DEALING] =
        {"dealing", 0, KIND_CHOICE, LIVE, GROUP_CAPTURE, "HOW",
         "how packets reach several workers: fanout (the kernel deals them, Linux) or share (a "
         "filter for each)",
         .initial = "fanout", .choices = dealings},
    [OPTION_RING] = {"ring", 0, KIND_SIZE, LIVE, GROUP_CAPTURE, "MIB",
                     "the kernel's buffer, for each interface and worker", .initial = "64", .least = 4,
                     .most = 2048},
    [OPTION_SNAP_LENGTH] = {"snap-length", 0, KIND_NUMBER, LIVE, GROUP_CAPTURE, "BYTES",
                            "how much of a packet is taken", .initial = "65535", .least = 96, .most = 262144},
    [OPTION_NO_PROMISCUOUS] = {"no-promiscuous", 0, KIND_FLAG, LIVE, GROUP_CAPTURE, NULL,
                               "take only what is sent to this machine", .initial = NULL},

    /* ── bounds ──────────────────────────────────────────────────── */
    [OPTION_MAX_FLOWS] = {"max-flows", 0, KIND_NUMBER, ALL, GROUP_BOUNDS, "N",
                          "flows at once, in each worker", .initial = "262144", .least = 64, .most = 1 << 28},
    [OPTION_SCRIPT_MEMORY] = {"script-memory", 0, KIND_SIZE, ALL, GROUP_BOUNDS, "MIB",
                              "memory bound of each detector", .initial = "256", .least = 4, .most = 65536},
    [OPTION_SCRIPT_TIME] = {"script-time", 0, KIND_DURATION, ALL, GROUP_BOUNDS, "TIME",
                            "CPU time that a detector may take at once; 0: no bound", .initial = "2",
                            .least = 0.01, .most = 3600, .or_zero = true},
    [OPTION_BATCH] = {"batch", 0, KIND_NUMBER, ALL, GROUP_BOUNDS, "N",
                      "events per batch, 1 to 1024; no result depends on it", .initial = "1024", .least = 1,
                      .most = 1024},

    /* ── packets around an alert ─────────────────────────────────── */
    [OPTION_PCAP_ON_ALERT] = {"pcap-on-alert", 0, KIND_TEXT, CLOCKED, GROUP_RECALL, "DIR",
                              "keep the packets of a flow around an alert, a pcapng file each",
                              .path = A_PATH, .check = check_not_empty},
    [OPTION_PCAP_BEFORE] = {"pcap-before", 0, KIND_DURATION, CLOCKED, GROUP_RECALL, "TIME",
                            "from how long before it", .initial = "60", .most = 86400},
    [OPTION_PCAP_AFTER] = {"pcap-after", 0, KIND_DURATION, CLOCKED, GROUP_RECALL, "TIME",
                           "until how long after it", .initial = "30", .most = 86400},
    [OPTION_PCAP_FILE_SIZE] = {"pcap-file-size", 0, KIND_SIZE, CLOCKED, GROUP_RECALL, "MIB",
                               "bound of a file", .initial = "4", .least = 0.0625, .most = 65536},
    [OPTION_PCAP_FILES] = {"pcap-files", 0, KIND_NUMBER, CLOCKED, GROUP_RECALL, "N",
                           "files that are kept; the oldest go", .initial = "1000", .least = 1,
                           .most = 10000000},
    [OPTION_PCAP_RING] = {"pcap-ring", 0, KIND_SIZE, CLOCKED, GROUP_RECALL, "MIB",
                          "memory for packets that may be asked for, in each worker", .initial = "32",
                          .least = 1, .most = 65536},

    /* ── a service ───────────────────────────────────────────────── */
    [OPTION_CONTROL] =
        {"control", 0, KIND_TEXT, CLOCKED, GROUP_SERVICE, "PATH",
         "the control socket, for `lunette ctl` and `lunette top`, or none (default: where these "
         "look for it)",
         .path = A_PATH, .check = check_not_empty},
    [OPTION_METRICS] = {"metrics", 0, KIND_TEXT, CLOCKED, GROUP_SERVICE, "ADDR:PORT",
                        "Prometheus metrics over HTTP; loopback addresses only, such as 127.0.0.1:9177",
                        .check = check_metrics},
    [OPTION_STATE] = {"state", 0, KIND_TEXT, CLOCKED, GROUP_SERVICE, "DIR",
                      "where detectors' state is kept over restarts, or none", .initial = "$STATE_DIRECTORY",
                      .path = A_PATH, .check = check_not_empty},
    [OPTION_STATE_EVERY] = {"state-every", 0, KIND_DURATION, CLOCKED, GROUP_SERVICE, "TIME",
                            "how often it is saved", .initial = "60", .least = 1, .most = 86400},
    [OPTION_STATS_EVERY] = {"stats-every", 0, KIND_DURATION, CLOCKED, GROUP_SERVICE, "TIME",
                            "how often a record of statistics is written; 0: never", .initial = "60",
                            .most = 86400},
    [OPTION_HOST_RECORDS] = {"host-records", 0, KIND_DURATION, CLOCKED, GROUP_SERVICE, "TIME",
                             "how often each host's card is written as a record, and at the end; 0: never",
                             .initial = "3600", .most = 31 * 86400},
    [OPTION_NO_WATCH] =
        {"no-watch", 0, KIND_FLAG, CLOCKED, GROUP_SERVICE, NULL,
         "do not reload when a script, its data or the configuration changes: wait for SIGHUP",
         .initial = NULL},
    [OPTION_USER] = {"user", 0, KIND_TEXT, LIVE, GROUP_SERVICE, "NAME",
                     "become this user once the interfaces are open", .check = check_not_empty},
    [OPTION_NO_SECCOMP] = {"no-seccomp", 0, KIND_FLAG, LIVE, GROUP_SERVICE, NULL,
                           "do not bound the system calls (Linux)", .initial = NULL},
    [OPTION_NO_SUPERVISOR] = {"no-supervisor", 0, KIND_FLAG, LIVE, GROUP_SERVICE, NULL,
                              "one process: nobody starts it anew if it dies", .initial = NULL},
    [OPTION_STALL_LIMIT] = {"stall-limit", 0, KIND_DURATION, LIVE, GROUP_SERVICE, "TIME",
                            "how long the sensor may be silent before the supervisor ends it; 0: for ever",
                            .initial = "30", .least = 5, .most = 86400, .or_zero = true},
    [OPTION_CONFIG] = {"config", 0, KIND_TEXT, ALL, GROUP_SERVICE, "FILE",
                       "a configuration in Lua: a global for each of these options, with _ for -; what the "
                       "command line says comes before it",
                       .no_key = true, .check = check_not_empty},
    [OPTION_CHECK_CONFIG] = {"check-config", 0, KIND_FLAG, ALL, GROUP_SERVICE, NULL,
                             "load the detectors, print what is in force as a configuration, and end",
                             .no_key = true},

    /* ── its own words ───────────────────────────────────────────── */
    [OPTION_LOG_LEVEL] = {"log-level", 0, KIND_CHOICE, ALL, GROUP_LOG, "LEVEL",
                          "error, warning, info or debug", .initial = "info", .initial_replay = "warning",
                          .choices = log_levels, .reloads = true},
    [OPTION_LOG_FORMAT] = {"log-format", 0, KIND_CHOICE, ALL, GROUP_LOG, "FORMAT",
                           "text, timed (with the time before it) or json: one object a line",
                           .initial = "text", .choices = log_formats},
    [OPTION_LOG] = {"log", 0, KIND_TEXT, ALL, GROUP_LOG, "FILE",
                    "append messages to it (default: standard error)", .path = A_PATH,
                    .check = check_not_empty},
    [OPTION_HELP] = {"help", 'h', KIND_FLAG, ALL, GROUP_LOG, NULL, "print this", .no_key = true},
};

const struct option_spec *option_spec(enum option_id id) {
    return &table[id];
}

const char *option_key(enum option_id id, char out[OPTION_NAME_SIZE]) {
    snprintf(out, OPTION_NAME_SIZE, "%s", table[id].name);
    for (char *p = out; *p; p++)
        if (*p == '-') *p = '_';
    return out;
}

enum option_id option_of_key(const char *key) {
    char name[OPTION_NAME_SIZE];
    for (int id = 0; id < OPTION_COUNT; id++)
        if (strcmp(key, option_key((enum option_id)id, name)) == 0) return (enum option_id)id;
    return OPTION_COUNT;
}

const char *option_nearest_key(const char *wrong, char out[OPTION_NAME_SIZE]) {
    char keys[OPTION_COUNT][OPTION_NAME_SIZE];
    const char *names[OPTION_COUNT];
    size_t count = 0;
    for (int id = 0; id < OPTION_COUNT; id++)
        if (!table[id].no_key) names[count] = option_key((enum option_id)id, keys[count]), count++;
    const char *near = nearest_name(wrong, names, count);
    if (near) snprintf(out, OPTION_NAME_SIZE, "%s", near);
    return near ? out : NULL;
}

bool option_of_hosts(enum option_id id) {
    static const enum option_id without[] = {OPTION_PACE,   OPTION_WATCH,  OPTION_EVENTS,
                                             OPTION_OUTPUT, OPTION_RECORD, OPTION_NO_SUMMARY,
                                             OPTION_QUIET,  OPTION_CONFIG, OPTION_CHECK_CONFIG};
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++)
        if (id == without[i]) return false;
    return table[id].commands & FOR_REPLAY;
}

const char *option_nearest(const char *wrong, unsigned commands) {
    const char *names[OPTION_COUNT];
    size_t count = 0;
    for (int id = 0; id < OPTION_COUNT; id++)
        if (table[id].commands & commands) names[count++] = table[id].name;
    return nearest_name(wrong, names, count);
}
