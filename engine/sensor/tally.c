/* See tally.h. */
#include "sensor/tally.h"

#include <string.h>

void tally_detectors(const struct script_host *scripts, struct summary *summary) {
    for (uint32_t i = 0; i < script_host_failed(scripts); i++) {
        const char *path = script_host_failed_path(scripts, i), *slash = strrchr(path, '/');
        struct detector_summary *entry = summary_detector(summary, slash ? slash + 1 : path);
        if (entry) entry->left_out = true;
    }
    for (uint32_t i = 0; i < script_host_count(scripts); i++) {
        struct detector_status status;
        script_host_status(scripts, i, &status);
        struct detector_summary *entry = summary_detector(summary, status.name);
        if (!entry) continue;
        entry->events += status.events;
        entry->errors += status.errors;
        entry->evicted += status.evicted;
        entry->ended_gap += status.parsers_ended[PARSER_GAP];
        entry->ended_limit += status.parsers_ended[PARSER_LIMIT];
        entry->ended_error += status.parsers_ended[PARSER_ERROR];
        if (!status.off) continue;
        entry->off = true;
        memcpy(entry->reason, status.last_error, sizeof entry->reason);
    }
}

uint32_t tally_failed(const struct script_host *scripts) {
    uint32_t failed = script_host_failed(scripts);
    for (uint32_t i = 0; i < script_host_count(scripts); i++) {
        struct detector_status status;
        script_host_status(scripts, i, &status);
        failed += status.errors > 0;
    }
    return failed;
}

void tally_add(const struct script_host *scripts, struct tally *sum) {
    for (uint32_t i = 0; i < script_host_count(scripts); i++) {
        struct detector_status status;
        script_host_status(scripts, i, &status);
        sum->errors += status.errors;
        sum->evicted += status.evicted;
        sum->off += status.off;
    }
}
