/* The inside of the live loop, shared by live*.c and by nobody else.
 *
 * live.c brings everything up and down and holds the main thread's loop; live_reload.c changes scripts while
 * they run; live_state.c keeps their state on disk; live_board.c gathers what is shown; live_calls.c is what
 * the control socket may ask for. */
#ifndef LUNETTE_SENSOR_SENSOR_H
#define LUNETTE_SENSOR_SENSOR_H

#include "sensor/board.h"
#include "sensor/control.h"
#include "sensor/deal.h"
#include "sensor/gather.h"
#include "sensor/live.h"
#include "sensor/patience.h"
#include "sensor/station.h"
#include "sensor/watch.h"

#include <pthread.h>
#include <uv.h>

enum {
    RATE_SECONDS = 10,
    LETTER_SECONDS = 10, /* a worker that does not answer for so long is stuck */
    RESCAN_SECONDS = 1,  /* looking for interfaces can wait for the next second */
    SAVE_SECONDS = 2,    /* so can saving; and the main thread has to tell of a worker that is stuck */
    STILL_TURNS = 3,     /* a worker that did not move for so many seconds is told of */
    DROPS_QUIET_SECONDS = 60,
    STEP_SECONDS = 5, /* a clock set back by more makes the sensor start anew */
};

struct rate_sample {
    nanoseconds at;
    uint64_t packets, bytes, dropped, events;
};

/* What the control thread asks the main thread to do. Each reload asked for has a number: an answer is to all
 * that were asked for before its reload began, and to none that came while it was on its way. */
struct errand {
    pthread_mutex_t mutex;
    pthread_cond_t done;
    bool stop, force, closed;
    uint64_t asked, answered;
    int outcome;
    char summary[BOARD_TEXT * 2];
    struct error err;
};

struct sensor {
    const struct live_options *options;
    const struct supervised *self;
    struct home *home;
    struct words *words;
    struct deal *deal;
    struct outputs *outputs;
    struct gather *gather;
    struct station_shared shared;
    uint32_t station_count;
    struct station *stations[BOARD_WORKERS];
    struct station_options station_options[BOARD_WORKERS];
    struct script_options scripts; /* as they are now: reconfigure may change them */

    uv_loop_t loop;
    uv_signal_t signals[6];
    uv_timer_t second;
    uv_async_t knock; /* another thread wants something */
    uv_poll_t supervisor;
    struct control *control;
    struct watch *watch;
    struct errand errand;
    _Atomic uint32_t over; /* stations whose capture has ended */
    int exit_code;
    bool ending;
    nanoseconds ending_since; /* monotonic */

    pthread_mutex_t board_mutex; /* board and latest alerts */
    struct board board;
    struct station_figures figures;                   /* scratch of the main thread, too large for a stack */
    struct gather_detector gathered[BOARD_DETECTORS]; /* so is this */
    struct rate_sample samples[RATE_SECONDS];
    uint32_t sample_count;
    struct pulse {
        uint64_t beats;
        bool moved;     /* since the supervisor was last told that all are alive */
        uint32_t still; /* seconds without a beat */
    } pulses[BOARD_WORKERS];
    uint64_t drops_told, interface_drops_told;
    nanoseconds drops_told_at;
    struct {
        char name[64];
        bool told;
    } off[BOARD_DETECTORS]; /* detectors that are or were switched off */
    uint32_t off_count;
    int state_lock;                                 /* descriptor, -1: none */
    nanoseconds next_stats, next_state, next_hosts; /* monotonic */
    nanoseconds clock_offset;                       /* wall clock less the clock that is never set */
    bool socket_missing;
};

nanoseconds sensor_wall(void);
nanoseconds sensor_monotonic(void); /* counts sleep as well, where the system can */

/* What the sensor has to say of itself: to the log, as a record, and, with a severity, as an alert too.
 * `json`: an object whose members the record gets, or NULL. Any thread. */
void sensor_say(struct sensor *sensor, const char *what, int severity, const char *message, const char *json);

/* Tells the supervisor that all is well, if all workers have moved since it was last told. Cheap: for
 * whatever keeps the main thread from its loop for long. */
void sensor_alive(struct sensor *sensor);

/* Ends the loop; the process will end with that code. */
void sensor_end(struct sensor *sensor, int exit_code);

/* live_reload.c: `summary` (may be NULL) gets what was done. -1: the old scripts go on. */
int sensor_reload(struct sensor *sensor, bool reread_config, bool force, char *summary, size_t size,
                  struct error *err);
void sensor_watch_files(struct sensor *sensor);

/* live_state.c */
void sensor_save(struct sensor *sensor);
void sensor_restore(struct sensor *sensor);                      /* before stations start */
int sensor_lock_state(struct sensor *sensor, struct error *err); /* -1: another sensor has the folder */

/* live_board.c */
void sensor_gather(struct sensor *sensor);
void sensor_note_alert(struct sensor *sensor, const struct alert *alert);
void sensor_stats(struct sensor *sensor);

/* live_calls.c */
struct control_calls sensor_calls(struct sensor *sensor);
void sensor_errands(struct sensor *sensor);     /* main thread: does what was asked for */
void sensor_errands_end(struct sensor *sensor); /* nobody does it any more: who waits is told */

#endif
