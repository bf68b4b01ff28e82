/* Every option of `replay` and `live`, in one table.
 *
 *      table ─┬─▶ getopt_long's arrays ─▶ the command line   (cli/arguments.c)
 *             ├─▶ the keys of lunette.lua                    (cli/config.c)
 *             ├─▶ --help                                     (cli/usage.c)
 *             └─▶ --check-config: what is in force           (cli/usage.c)
 *
 * A line of the table says what kind of value the option takes, its bounds and what it is when nobody says
 * anything; so a value is checked in one way wherever it came from. Values are kept by option in a `struct
 * values`, together with who gave them; cli/fill.c makes the options of the sensor of them. */
#ifndef LUNETTE_CLI_OPTIONS_H
#define LUNETTE_CLI_OPTIONS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_id {
    OPTION_INTERFACE,
    OPTION_SCRIPT,
    OPTION_NO_SCRIPTS,
    OPTION_SET,
    OPTION_FILTER,
    OPTION_HOME_NET,
    OPTION_HOST_LOG,
    OPTION_HOST_CLOCK_OFFSET,
    OPTION_AUDIT,
    OPTION_WORKERS,
    OPTION_PACE,
    OPTION_WATCH,
    OPTION_EVENTS,
    OPTION_OUTPUT,
    OPTION_RECORD,
    OPTION_ROTATE_SIZE,
    OPTION_ROTATE_EVERY,
    OPTION_ROTATE_KEEP,
    OPTION_SPOOL,
    OPTION_SPOOL_SIZE,
    OPTION_NO_ALERTS,
    OPTION_NO_SUMMARY,
    OPTION_SUMMARY,
    OPTION_HOSTS,
    OPTION_COLOR,
    OPTION_QUIET,
    OPTION_DEALING,
    OPTION_RING,
    OPTION_SNAP_LENGTH,
    OPTION_NO_PROMISCUOUS,
    OPTION_MAX_FLOWS,
    OPTION_SCRIPT_MEMORY,
    OPTION_SCRIPT_TIME,
    OPTION_BATCH,
    OPTION_PCAP_ON_ALERT,
    OPTION_PCAP_BEFORE,
    OPTION_PCAP_AFTER,
    OPTION_PCAP_FILE_SIZE,
    OPTION_PCAP_FILES,
    OPTION_PCAP_RING,
    OPTION_CONTROL,
    OPTION_METRICS,
    OPTION_STATE,
    OPTION_STATE_EVERY,
    OPTION_STATS_EVERY,
    OPTION_HOST_RECORDS,
    OPTION_NO_WATCH,
    OPTION_USER,
    OPTION_NO_SECCOMP,
    OPTION_NO_SUPERVISOR,
    OPTION_STALL_LIMIT,
    OPTION_CONFIG,
    OPTION_CHECK_CONFIG,
    OPTION_LOG_LEVEL,
    OPTION_LOG_FORMAT,
    OPTION_LOG,
    OPTION_HELP,
    OPTION_COUNT,
};

enum option_kind {
    KIND_FLAG,     /* nothing on the command line, or =yes, =no; true or false in Lua */
    KIND_TEXT,     /* one string */
    KIND_LIST,     /* strings; repeated on the command line */
    KIND_COMMAS,   /* strings, with commas between them on the command line, where the last one counts */
    KIND_SETTINGS, /* "DETECTOR.KEY=VALUE"; a table of tables in Lua */
    KIND_NUMBER,   /* whole */
    KIND_SIZE,     /* MiB, or with a unit: "2 GiB"; kept in bytes */
    KIND_DURATION, /* seconds, or with a unit: "10m"; kept in seconds */
    KIND_CHOICE,   /* one of some words; its number is kept */
};

/* Which commands take it. PACED: `replay` with --pace, which goes through the live loop. HOSTS: in help only,
 * for what `hosts` takes of `replay`. */
enum { FOR_REPLAY = 1, FOR_LIVE = 2, FOR_PACED = 4, FOR_HOSTS = 8 };

enum option_path { NO_PATH, A_PATH, AN_OUTPUT, A_HOST_LOG }; /* what a config's folder goes before */

enum option_group {
    GROUP_WHAT,
    GROUP_OUTPUT,
    GROUP_CAPTURE,
    GROUP_BOUNDS,
    GROUP_RECALL,
    GROUP_SERVICE,
    GROUP_LOG
};

struct option_spec {
    const char *name; /* with hyphens */
    char letter;      /* or 0 */
    enum option_kind kind;
    unsigned commands;
    enum option_group group;
    const char *argument;       /* its name in the help; NULL for flags */
    const char *help;           /* without the default */
    const char *initial;        /* as on the command line; NULL for none */
    const char *initial_replay; /* where it is another for `replay` */
    double least, most;         /* numbers as given, sizes in MiB, durations in seconds */
    bool or_zero;               /* 0 as well, below the least */
    const char *const *choices; /* NULL-terminated */
    enum option_path path;
    bool no_key;  /* the command line alone has it */
    bool reloads; /* a running sensor takes a new value when it reads its configuration anew */
    /* Is one word of it well formed? NULL if anything is. */
    int (*check)(const char *word, struct error *err);
};

/* Never NULL for an id below OPTION_COUNT. */
const struct option_spec *option_spec(enum option_id id);

/* Does `lunette hosts` take it? Of `replay`, what says where records and alerts go has no meaning there. */
bool option_of_hosts(enum option_id id);

/* "max_flows" for max-flows: its key in lunette.lua. */
enum { OPTION_NAME_SIZE = 32 };
const char *option_key(enum option_id id, char out[OPTION_NAME_SIZE]);

/* OPTION_COUNT if there is no such key. */
enum option_id option_of_key(const char *key);

/* The nearest name of one that does not exist, or NULL: of the keys, or of the options of a command. */
const char *option_nearest_key(const char *wrong, char out[OPTION_NAME_SIZE]);
const char *option_nearest(const char *wrong, unsigned commands);

#endif
