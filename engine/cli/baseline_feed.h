/* Captures and records for `lunette baseline`, told apart by content, on their way into a collector. */
#ifndef LUNETTE_CLI_BASELINE_FEED_H
#define LUNETTE_CLI_BASELINE_FEED_H

#include "output/profile_collect.h"
#include "workbench/rig.h"

struct baseline_feed {
    struct profile_collector *collector;
    const struct rig_options *rig; /* for captures: filter, home networks, host logs */
    const char *const *files;
    size_t file_count;
    bool apart; /* each file's hosts are its own; captures are not merged by time */
};

/* Captures first, all merged by time, then files of records one after the other. Lines that are no records
 * are passed over, with a warning. -1 and why: a file that cannot be read, or in which nothing is a record.
 */
int baseline_feed(const struct baseline_feed *feed, struct error *err);

#endif
