/* What the files around the script host share; nobody else includes this.
 *
 * An entry is one script: its detector, and the files that this was made from. A script that could not be
 * loaded has an entry without a detector. */
#ifndef LUNETTE_SCRIPT_ENTRY_H
#define LUNETTE_SCRIPT_ENTRY_H

#include "script/files.h"
#include "script/host.h"
#include "script/message.h"
#include "script/overhear.h"

struct script_entry {
    char *path;
    struct script_files *files;
    struct detector *detector; /* NULL: it was left out */
    char *why;                 /* it was */
    uint64_t settings;         /* digest of what was set for it */
    char **needs;              /* names of the scripts whose events it asked for, there or not */
    uint32_t need_count;
};

struct script_host {
    struct batch *batch;
    struct script_sink sink;
    struct script_options options; /* of the last load */
    struct script_entry **entries; /* in the order of the paths */
    uint32_t entry_count;
    struct detector **detectors; /* of those entries that have one */
    uint32_t count;
    uint32_t off; /* of these, as of the last look */
    struct offers *offers;
    bool packets_plain; /* offers_packets_are_plain() */
    enum stage stage;
    struct bag bag;                       /* what its detectors sent in this batch */
    struct overheard overheard;           /* where messages are gathered */
    struct flow_room *room;               /* NULL: nobody reads flows for us */
    struct detector *wishes[FLOW_WISHES]; /* whose wish that number is */
    bool started;
    bool wants[EVENT_KINDS];
    struct script_files *attempt; /* of a script that a reload could not load: they are watched as well */
    struct pending_alert *pending;
    uint32_t pending_count, pending_room, pending_next; /* those before `pending_next` are delivered */
    nanoseconds handled;
    struct relay *relay;
    struct code_store *code;      /* shared with what gathers */
    struct script_loader *loader; /* while scripts are being loaded */
    uint64_t pending_lost;
};

/* Scripts to load: first those that are named, then those that merely lie beside one of them, then those that
 * come along (shipped.h); both are loaded only if somebody asks for their events. */
struct script_paths {
    char **list;
    uint32_t named, count;
};

/* The scripts that the options name, folders looked into, and what lies beside them. -1 and why if a path
 * does not exist or a folder has none. */
int script_paths_find(struct script_paths *paths, const struct script_options *options, struct error *err);
void script_paths_free(struct script_paths *paths);

/* An empty entry. NULL only without memory. */
struct script_entry *script_entry_new(const struct script_options *options, const char *path,
                                      struct error *why);
/* Loads its script for the host, which is not touched. If the script cannot be loaded, the entry has no
 * detector and `why` says why, with `usage` set if it is the user's slip. */
void script_entry_fill(struct script_entry *entry, struct script_host *host,
                       const struct script_options *options, uint32_t index, struct error *why);
void script_entry_free(struct script_entry *entry);

uint64_t script_settings_digest(const struct script_options *options, const char *path);

/* Do entries and settings fit together? No two detectors of a name, no setting for one that is not there. */
int script_entries_check(struct script_entry *const *entries, uint32_t count,
                         const struct script_options *options, struct error *err);

/* host.c: for deliveries in parts: brings the alerts into order; delivers those that precede `key`, NULL:
 * all. */
struct order_key;
void host_sort_alerts(struct script_host *host);
void host_deliver_alerts(struct script_host *host, const struct order_key *key);

/* host.c: all detectors have handled what is not later than `until`: hands on what they sent. */
void host_handled(struct script_host *host, double until);

/* host.c: these entries from now on. -1 without memory: nothing was done. */
int host_adopt(struct script_host *host, struct script_entry **entries, uint32_t count);
/* host.c: how detectors are made for this host. */
struct detector_options host_detector_options(struct script_host *host, const struct script_options *options);

/* streams.c: after detectors came or went: numbers for new wishes, and away with those of the others. */
void host_streams_refresh(struct script_host *host);
/* streams.c: after a batch: detectors that were switched off need no streams. */
void host_streams_dismiss(struct script_host *host);

#endif
