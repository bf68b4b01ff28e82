/* Changing scripts while they run, and keeping their state.
 *
 *      main thread:    prepare     what is new or changed is loaded beside what runs; nothing is touched
 *      each worker:    stage       at a batch boundary: state is handed over to the new ones, which wait
 *      each worker:    commit      if all workers staged, else abandon: the old ones go on as if nothing was
 *
 * A detector is loaded anew if its script or a file that it read (data/, lib/) has changed, if its settings
 * have, or if it was switched off (unless because it did not come to its end: then it waits for a change of
 * its own). State that was declared by name (lunette.state, lunette.records) is handed over to the
 * declaration of the same name: with its order, ages and places, so that a reload changes no result. So are
 * the cooldowns of alerts and the phases of timers that the script's body sets (the n-th `every` or `after`
 * of the same seconds). Timers set by handlers go with their functions, and are counted.
 */
#ifndef LUNETTE_SCRIPT_RELOAD_H
#define LUNETTE_SCRIPT_RELOAD_H

#include "base/error.h"
#include "script/host.h"

struct script_reload;

/* After a commit, whoever made the host's detectors ready before (names on a board, paths that are watched)
 * asks anew. Free the reload on the main thread: taking a large state apart takes a while.
 *
 * Looks at the paths anew and loads what is to be loaded, for this worker. May run on another thread than the
 * worker's, but not while another reload of the same host is on its way. NULL and why (file and line) if a
 * script cannot be loaded, a path is gone, or two detectors have the same name: the old ones stay.
 * `force`: load all anew, changed or not. `options` with its paths and settings is borrowed for the host's
 * life. */
struct script_reload *script_reload_prepare(struct script_host *host, const struct script_options *options,
                                            bool force, struct error *err);

/* The same for the host that gathers, whose scripts are those of the workers' that have a part that gathers:
 * `workers` is what was prepared for one of them, with the same options. */
struct script_reload *script_reload_prepare_gathering(struct script_host *host,
                                                      const struct script_reload *workers, bool force,
                                                      struct error *err);

/* Did anything change at all? */
bool script_reload_is_empty(const struct script_reload *reload);

/* On the worker's thread: flushes the batch, hands state over. -1 and why if a new one cannot take it (its
 * memory bound); then abandon. No packet may be worked on between stage and commit or abandon. */
int script_reload_stage(struct script_reload *reload, struct error *err);
/* Names and figures in a detector_status of before are good until the reload is freed. */
void script_reload_commit(struct script_reload *reload);
void script_reload_abandon(struct script_reload *reload);

/* What happened, for the record of the reload; of one worker. */
struct reload_figures {
    uint32_t loaded, added, removed, unchanged; /* detectors */
    uint64_t entries_kept;                      /* of named state */
    uint64_t entries_lost; /* whole (a smaller max, a name that is gone, no plain value, dropped by migrate)
                              or in part (a field that is gone) */
    uint64_t timers_lost;  /* set by handlers */
    nanoseconds pause;     /* from stage to commit, without waiting for other workers */
};
const struct reload_figures *script_reload_figures(const struct script_reload *reload);
/* A sentence for people: "beacon loaded anew (data/cdn_cidrs.tsv changed); tls_odd added". Valid until the
 * reload is freed. */
const char *script_reload_summary(const struct script_reload *reload);
void script_reload_free(
    struct script_reload *reload); /* after commit or abandon, or instead of them; any thread */

/* Files and folders that scripts were loaded from and read, for watching: paths, folders included. `paths` is
 * filled with up to `max` pointers that are valid until the next reload. */
uint32_t script_host_files(const struct script_host *host, const char **paths, uint32_t max);

/* -------------------------------------------------- state on disk, over restarts */

/* The named state of one detector as bytes that script_host_restore() reads; owned by the caller, free(3).
 * NULL if it has none, or is off, or memory is short. On the worker's thread, between batches. */
struct state_blob {
    char *bytes;
    size_t size;
};
struct state_blob script_host_save(struct script_host *host, uint32_t index);

/* Before script_host_start(): gives a detector back what was saved, by its name. Bytes are not trusted: what
 * is damaged, or too new, is refused with why. Ages continue; times in the future count as now. */
int script_host_restore(struct script_host *host, const char *detector, const void *bytes, size_t size,
                        struct error *err);

#endif
