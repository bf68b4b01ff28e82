/* One burst is read ahead; what of it is due is handed out, the rest waits where it is. */
#include "sensor/pace.h"

#include "capture/capture.h"

#include <stdlib.h>

struct pace {
    struct capture *capture;
    double speed;
    nanoseconds begun; /* monotonic */
    nanoseconds first; /* packet time at that moment */
    struct packet ahead[PACKET_BURST];
    int position, count; /* of what is ahead */
    bool over;
};

static void read_ahead(struct pace *pace) {
    pace->position = 0;
    pace->count = capture_next_burst(pace->capture, pace->ahead);
    if (pace->count <= 0) pace->over = true;
}

struct pace *pace_new(const char *const *captures, size_t count, double speed, struct error *err) {
    struct pace *pace = calloc(1, sizeof *pace);
    if (!pace) {
        error_set(err, "out of memory");
        return NULL;
    }
    pace->speed = speed;
    pace->capture = capture_open(captures, count, err);
    if (!pace->capture) {
        pace_free(pace);
        return NULL;
    }
    read_ahead(pace);
    if (!pace->over) pace->first = pace->ahead[0].time;
    return pace;
}

void pace_begin(struct pace *pace, nanoseconds monotonic) {
    pace->begun = monotonic;
}

nanoseconds pace_now(const struct pace *pace, nanoseconds monotonic) {
    const double furthest = 4e18; /* in nanoseconds that is a century, and more than a capture may last */
    double gone = (double)(monotonic - pace->begun) * pace->speed;
    return pace->first + (nanoseconds)(gone < furthest ? gone : furthest);
}

int pace_next_burst(struct pace *pace, nanoseconds monotonic, struct packet burst[PACKET_BURST]) {
    if (pace->position >= pace->count && !pace->over) read_ahead(pace);
    if (pace->over) return -1;
    nanoseconds now = pace_now(pace, monotonic);
    int n = 0;
    while (pace->position < pace->count && pace->ahead[pace->position].time <= now)
        burst[n++] = pace->ahead[pace->position++];
    return n;
}

const char *pace_interface_name(const struct pace *pace, uint8_t interface) {
    return capture_interface_name(pace->capture, interface);
}

const char *pace_warning(const struct pace *pace, size_t index) {
    return capture_warning(pace->capture, index);
}

void pace_free(struct pace *pace) {
    if (!pace) return;
    if (pace->capture) capture_close(pace->capture);
    free(pace);
}
