/* Gathers the board once a second from what the stations publish, and tells of drops. */
#include "sensor/sensor.h"

#include "base/log.h"
#include "base/text.h"
#include "base/words.h"
#include "sensor/recent.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---------------------------------------------------------------- the process */

static uint32_t descriptors_open(void) {
    DIR *folder = opendir("/dev/fd");
    if (!folder) return 0;
    uint32_t count = 0;
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) count += entry->d_name[0] != '.';
    closedir(folder);
    return count > 0 ? count - 1 : 0; /* the folder's own */
}

static double processor_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void process_gather(struct board *board) {
    size_t resident = 0;
    uv_resident_set_memory(&resident);
    board->resident = resident;
    board->descriptors = descriptors_open();
    board->cpu_seconds = processor_seconds();
}

/* ---------------------------------------------------------------- the stations */

static void flows_add(struct flow_counters *sum, const struct flow_counters *f) {
    sum->packets += f->packets;
    sum->bytes += f->bytes;
    sum->flows += f->flows;
    sum->flows_tcp += f->flows_tcp;
    sum->flows_udp += f->flows_udp;
    sum->flows_icmp += f->flows_icmp;
    sum->flows_other += f->flows_other;
    sum->ended_fin += f->ended_fin;
    sum->ended_rst += f->ended_rst;
    sum->ended_timeout += f->ended_timeout;
    sum->ended_evicted += f->ended_evicted;
    sum->ended_reused += f->ended_reused;
    sum->midstream += f->midstream;
    sum->reassembly_dropped += f->reassembly_dropped;
    sum->gaps += f->gaps;
    sum->gap_bytes += f->gap_bytes;
    sum->retransmits += f->retransmits;
    sum->overlaps += f->overlaps;
    sum->rebinds += f->rebinds;
    sum->programs_asked += f->programs_asked;
    sum->programs_joined += f->programs_joined;
    sum->programs_contradicted += f->programs_contradicted;
    sum->programs_unnamed += f->programs_unnamed;
    sum->rebind_evicted += f->rebind_evicted;
    sum->names_evicted += f->names_evicted;
    sum->fragments += f->fragments;
    sum->fragments_joined += f->fragments_joined;
    sum->fragment_overlaps += f->fragment_overlaps;
    for (int i = 0; i < TUNNEL_KINDS; i++) sum->tunnelled[i] += f->tunnelled[i];
    sum->tunnels_refused += f->tunnels_refused;
    sum->active += f->active;
    sum->active_peak += f->active_peak;
    sum->memory += f->memory;
}

static void interface_add(struct board *board, const struct board_interface *more) {
    uint32_t at = 0;
    while (at < board->interface_count && strcmp(board->interfaces[at].name, more->name) != 0) at++;
    if (at == BOARD_INTERFACES) return;
    struct board_interface *to = &board->interfaces[at];
    if (at == board->interface_count) {
        board->interface_count++;
        *to = *more;
        return;
    }
    to->open &= more->open;
    to->packets += more->packets;
    to->bytes += more->bytes;
    to->dropped += more->dropped;
    to->interface_dropped += more->interface_dropped;
}

static void detector_add(struct board *board, const struct board_detector *more) {
    uint32_t at = 0;
    while (at < board->detector_count && strcmp(board->detectors[at].name, more->name) != 0) at++;
    if (at == BOARD_DETECTORS) return;
    struct board_detector *to = &board->detectors[at];
    if (at == board->detector_count) {
        board->detector_count++;
        *to = *more;
        return;
    }
    to->off |= more->off;
    to->events += more->events;
    to->alerts += more->alerts;
    to->errors += more->errors;
    to->evicted += more->evicted;
    to->memory += more->memory;
    to->cpu_seconds += more->cpu_seconds;
    if (!to->trouble[0]) memcpy(to->trouble, more->trouble, sizeof to->trouble);
}

/* Of a capture that is played every worker reads every packet. */
static void station_add(struct board *board, uint32_t index, const struct station_figures *figures,
                        bool all_see_all) {
    board->workers[index] = (struct board_worker){
        .packets = figures->worker.packets,
        .bytes = figures->worker.bytes,
        .events = figures->worker.events,
        .cpu_seconds = figures->cpu_seconds,
        .clock = figures->clock,
    };
    if (index == 0 || !all_see_all) {
        board->packets += figures->worker.packets;
        board->bytes += figures->worker.bytes;
    }
    flows_add(&board->flow, &figures->flow);
    board->programs_refused += figures->processes_refused;
    if (index == 0)
        board->host = figures->host;
    else
        board->host.events += figures->host.events;
    for (uint32_t i = 0; i < figures->interface_count; i++) interface_add(board, &figures->interfaces[i]);
    for (uint32_t i = 0; i < figures->detector_count; i++) detector_add(board, &figures->detectors[i]);
    recent_merge(board->hosts, &board->host_count, figures->hosts, figures->host_count);
    recent_merge(board->names, &board->name_count, figures->names, figures->name_count);
}

/* What gathers is the same script: one line for both. */
static void gathered_add(struct sensor *sensor, struct board *board) {
    uint32_t count = gather_detectors(sensor->gather, sensor->gathered, BOARD_DETECTORS);
    for (uint32_t i = 0; i < count && i < BOARD_DETECTORS; i++) {
        const struct gather_detector *gathered = &sensor->gathered[i];
        const struct detector_status *status = &gathered->status;
        struct board_detector more = {
            .off = status->off,
            .left_out = gathered->left_out,
            .events = status->events,
            .alerts = status->alerts,
            .errors = status->errors,
            .evicted = status->evicted,
            .memory = status->memory,
            .cpu_seconds = status->cpu_seconds,
        };
        text_copy(more.name, sizeof more.name, gathered->name);
        text_copy(more.trouble, sizeof more.trouble, status->last_error);
        detector_add(board, &more);
    }
}

static void board_empty(struct board *board) {
    board->packets = board->bytes = board->dropped = board->interface_dropped = 0;
    board->flow = (struct flow_counters){0};
    board->interface_count = board->detector_count = board->host_count = board->name_count = 0;
}

static uint64_t events_of(const struct board *board) {
    uint64_t events = 0;
    for (uint32_t i = 0; i < board->worker_count; i++) events += board->workers[i].events;
    return events;
}

static double rate(uint64_t now, uint64_t then, double seconds) {
    return now >= then && seconds > 0 ? (double)(now - then) / seconds : 0;
}

/* Over the last ten seconds; a ring of samples, the oldest is where the newest goes. */
static void rates_gather(struct sensor *sensor, struct board *board) {
    struct rate_sample now = {.at = sensor_monotonic(),
                              .packets = board->packets,
                              .bytes = board->bytes,
                              .dropped = board->dropped + board->interface_dropped,
                              .events = events_of(board)};
    uint32_t slot = sensor->sample_count % RATE_SECONDS;
    struct rate_sample then = sensor->samples[sensor->sample_count < RATE_SECONDS ? 0 : slot];
    sensor->samples[slot] = now;
    if (sensor->sample_count++ == 0) return;
    double seconds = ns_to_seconds(now.at - then.at);
    board->packet_rate = rate(now.packets, then.packets, seconds);
    board->bit_rate = rate(now.bytes, then.bytes, seconds) * 8;
    board->drop_rate = rate(now.dropped, then.dropped, seconds);
    board->event_rate = rate(now.events, then.events, seconds);
}

/* ------------------------------------------------------------------------ drops */

/* What the kernel or an interface lost, nobody has looked at: the operator must hear of it, but not each
 * second. */
static void drops_tell(struct sensor *sensor, const struct board *board) {
    uint64_t kernel = board->dropped - sensor->drops_told;
    uint64_t interface = board->interface_dropped - sensor->interface_drops_told;
    nanoseconds now = sensor_monotonic();
    if (kernel + interface == 0) return;
    if (sensor->drops_told_at &&
        now - sensor->drops_told_at < (nanoseconds)DROPS_QUIET_SECONDS * NS_PER_SECOND)
        return;
    char message[256], json[128];
    snprintf(message, sizeof message,
             "%llu packets were lost because the ring was full, %llu by the interface (%llu and %llu since "
             "the start); "
             "%.0f packets a second come in",
             (unsigned long long)kernel, (unsigned long long)interface, (unsigned long long)board->dropped,
             (unsigned long long)board->interface_dropped, board->packet_rate);
    snprintf(json, sizeof json, "{\"dropped\":%llu,\"interface_dropped\":%llu}", (unsigned long long)kernel,
             (unsigned long long)interface);
    sensor_say(sensor, "drops", SEVERITY_MEDIUM, message, json);
    sensor->drops_told = board->dropped;
    sensor->interface_drops_told = board->interface_dropped;
    sensor->drops_told_at = now;
}

/* --------------------------------------------------------------- detectors that went */

static bool *told_of(struct sensor *sensor, const char *name) {
    uint32_t at = 0;
    while (at < sensor->off_count && strcmp(sensor->off[at].name, name) != 0) at++;
    if (at == sensor->off_count) {
        if (at == BOARD_DETECTORS) return NULL;
        sensor->off_count++;
        text_copy(sensor->off[at].name, sizeof sensor->off[at].name, name);
        sensor->off[at].told = false;
    }
    return &sensor->off[at].told;
}

/* One that is switched off sees nothing any more: that must not go unnoticed for months. */
static void off_tell(struct sensor *sensor, const struct board *board) {
    for (uint32_t i = 0; i < board->detector_count; i++) {
        const struct board_detector *detector = &board->detectors[i];
        bool *told = detector->off || sensor->off_count > 0 ? told_of(sensor, detector->name) : NULL;
        if (!told) continue;
        if (detector->off && !*told) {
            char message[BOARD_TEXT + 128];
            snprintf(message, sizeof message, "%s is switched off until it is reloaded: %s", detector->name,
                     detector->trouble);
            sensor_say(sensor, "detector", SEVERITY_MEDIUM, message, NULL);
        }
        *told = detector->off;
    }
}

/* ------------------------------------------------------------------- the board */

void sensor_gather(struct sensor *sensor) {
    struct board *board = &sensor->board;
    pthread_mutex_lock(&sensor->board_mutex);
    board_empty(board);
    board->now = sensor_wall();
    for (uint32_t i = 0; i < sensor->station_count; i++) {
        station_figures(sensor->stations[i], &sensor->figures);
        station_add(board, i, &sensor->figures, sensor->options->interfaces == NULL);
    }
    gathered_add(sensor, board);
    for (uint32_t i = 0; i < board->interface_count; i++) {
        board->dropped += board->interfaces[i].dropped;
        board->interface_dropped += board->interfaces[i].interface_dropped;
    }
    board->output_count = outputs_figures(sensor->outputs, board->outputs, BOARD_OUTPUTS);
    rates_gather(sensor, board);
    board->programs_refused += words_refused(sensor->words);
    process_gather(board);
    pthread_mutex_unlock(&sensor->board_mutex);
    drops_tell(sensor, board); /* only this thread changes what they read */
    off_tell(sensor, board);
}

/* Workers' threads. */
void sensor_note_alert(struct sensor *sensor, const struct alert *alert) {
    struct board *board = &sensor->board;
    pthread_mutex_lock(&sensor->board_mutex);
    if (alert->severity >= SEVERITY_HIGH && alert->severity <= SEVERITY_INFO)
        board->alerts[alert->severity]++;
    if (board->alert_count < BOARD_ALERTS) board->alert_count++;
    memmove(board->latest + 1, board->latest, (board->alert_count - 1) * sizeof board->latest[0]);
    struct board_alert *to = &board->latest[0];
    *to = (struct board_alert){.time = alert->time, .severity = alert->severity};
    text_copy(to->detector, sizeof to->detector, alert->detector);
    text_copy(to->title, sizeof to->title, alert->title);
    text_copy(to->who, sizeof to->who, alert->who);
    text_copy(to->where, sizeof to->where, alert->where);
    text_copy(to->why, sizeof to->why, alert->why);
    text_copy(to->attack, sizeof to->attack, alert->attack);
    if (alert->has_head) text_copy(to->program, sizeof to->program, alert->head.program);
    pthread_mutex_unlock(&sensor->board_mutex);
}

void sensor_stats(struct sensor *sensor) {
    const struct board *board = &sensor->board;
    uint64_t delivered = 0, lost = 0, spooled = 0, errors = 0, evicted = 0;
    const struct gather_figures gathered = gather_figures(sensor->gather);
    const struct card_figures cards = outputs_card_figures(sensor->outputs);
    for (uint32_t i = 0; i < board->output_count; i++) {
        delivered += board->outputs[i].lines;
        lost += board->outputs[i].lost;
        spooled += board->outputs[i].spooled;
    }
    for (uint32_t i = 0; i < board->detector_count; i++) {
        errors += board->detectors[i].errors;
        evicted += board->detectors[i].evicted;
    }
    const struct stat_figure stats[] = {
        {"capture.packets", board->packets},
        {"capture.bytes", board->bytes},
        {"capture.kernel_drops", board->dropped},
        {"capture.interface_drops", board->interface_dropped},
        {"decoder.fragments_unjoined", board->flow.fragments},
        {"decoder.fragment_overlaps", board->flow.fragment_overlaps},
        {"decoder.tunnels_refused", board->flow.tunnels_refused},
        {"flow.total", board->flow.flows},
        {"flow.tcp", board->flow.flows_tcp},
        {"flow.udp", board->flow.flows_udp},
        {"flow.icmp", board->flow.flows_icmp},
        {"flow.active", board->flow.active},
        {"flow.timeout", board->flow.ended_timeout},
        {"flow.evicted", board->flow.ended_evicted},
        {"flow.names_evicted", board->flow.names_evicted},
        {"flow.rebind_evicted", board->flow.rebind_evicted},
        {"flow.memory", board->flow.memory},
        {"tcp.gap_bytes", board->flow.gap_bytes},
        {"tcp.reassembly_dropped", board->flow.reassembly_dropped},
        {"host.lines", board->host.lines},
        {"host.news", board->host.news},
        {"host.unread", board->host.broken + board->host.unknown},
        {"host.late", board->host.late},
        {"host.joined", board->flow.programs_joined},
        {"host.contradicted", board->flow.programs_contradicted},
        {"host.events", board->host.events},
        {"host.processes", board->host.processes_now},
        {"programs.refused", board->programs_refused},
        {"detect.errors", errors},
        {"detect.evicted", evicted},
        {"gather.messages", gathered.messages},
        {"gather.dropped", gathered.lost},
        {"cards.hosts", cards.hosts},
        {"cards.memory", cards.bytes},
        {"cards.evicted", cards.evicted},
        {"cards.dropped", cards.dropped},
        {"output.lines", delivered},
        {"output.lost", lost},
        {"output.spooled_bytes", spooled},
        {"process.resident", board->resident},
        {"process.descriptors", board->descriptors},
        {"process.restarts", board->restarts},
    };
    outputs_say_stats(sensor->outputs, sensor_wall(), stats, sizeof stats / sizeof stats[0]);
}
