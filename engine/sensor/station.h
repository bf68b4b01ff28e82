/* A station: a live worker and where it works: a thread with a libuv loop, a source of packets, a letter box.
 *
 *      tap's descriptors ─┐
 *      tick, 10 a second ─┼─▶ bursts ─▶ worker
 *      letter box ────────┘      done between batches, when nothing is half way
 *
 * The main thread never touches a worker: it posts a letter, whose function runs on the station's thread. */
#ifndef LUNETTE_SENSOR_STATION_H
#define LUNETTE_SENSOR_STATION_H

#include "capture/tap.h"
#include "sensor/board.h"
#include "sensor/recall.h"
#include "sensor/worker.h"

#include <stdatomic.h>

struct station;

/* What stations of one sensor share. */
struct station_shared {
    _Atomic nanoseconds begun; /* time of the first packet that any of them saw, 0: none yet */
    nanoseconds play_began;    /* monotonic; paced captures */
    void *context;
    void (*on_alert)(void *context, const struct alert *alert);
    /* An interface came (`why` NULL) or went; told by the first station only. */
    void (*on_interface)(void *context, const char *interface, bool open, const char *why);
    void (*on_over)(void *context); /* a paced capture is over; once for each station */
};

struct station_options {
    struct worker_options worker;
    struct tap_options tap; /* patterns NULL: a capture is played */
    const char *const *captures;
    size_t capture_count;
    double pace;
    struct recall_options recall; /* folder NULL: off */
    struct station_shared *shared;
};

/* Makes the source; opens no interface yet. `options` is borrowed and completed. */
struct station *station_new(struct station_options *options, struct error *err);

/* Makes the worker: loads its scripts. Apart from the source, since privileges may be given up in between. */
int station_employ(struct station *station, struct error *err);

/* Opens interfaces that have come. Before station_start() from the caller's thread, later by a letter; in the
 * order of the stations. */
int station_rescan(struct station *station, struct error *err);

int station_start(struct station *station, struct error *err);

/* A letter; owned by whoever posts it until it is done. */
struct letter {
    void (*run)(struct letter *letter, struct station *station);
    void *context;
    struct letter *next;
    int state; /* station.c's */
};

void station_post(struct station *station, struct letter *letter);
/* Waits until it is done. -1 if it was not even begun within `seconds`: then it is taken back. */
int station_wait(struct station *station, struct letter *letter, double seconds);
int station_ask(struct station *station, struct letter *letter, double seconds); /* both */

/* Ends the thread in good order: what has come is worked on, flows are ended. station_stop() waits for it;
 * who has something else to do meanwhile says station_end(), and stops it when it has ended. */
void station_end(struct station *station);
bool station_has_ended(const struct station *station);
void station_stop(struct station *station);

/* For letters, and before the start. */
struct worker *station_worker(struct station *station);

/* What the station says of itself once a second. */
struct station_figures {
    struct worker_figures worker;
    struct flow_counters flow;
    struct endpoint_figures host;
    uint64_t processes_refused; /* that the tap had no room for */
    nanoseconds clock;
    double cpu_seconds;
    uint32_t interface_count;
    struct board_interface interfaces[BOARD_INTERFACES];
    uint32_t detector_count;
    struct board_detector detectors[BOARD_DETECTORS];
    uint32_t host_count, name_count;
    struct board_top hosts[BOARD_TOP], names[BOARD_TOP];
};
/* What is wrong with the capture that is played, one at a time; NULL when there is no more. Once it has
 * ended. */
const char *station_warning(const struct station *station, size_t index);

/* Any thread. */
void station_figures(struct station *station, struct station_figures *out);
/* Grows as long as the thread moves. */
uint64_t station_beats(const struct station *station);

void station_free(struct station *station);

#endif
