/* The bar ends with a carriage return, so that a log line which knows nothing of it begins at the left edge.
 */
#include "output/progress.h"

#include "base/time.h"

#include "output/buffer.h"
#include "output/terminal.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { CALLS_PER_LOOK = 16, BAR = 24 };
static const double seconds_per_drawing = 0.1;
static const double seconds_before_first = 0.5; /* short files need no bar */

struct progress {
    pthread_mutex_t mutex;
    int fd;
    bool shown;
    uint32_t hidden; /* how many want it away */
    uint32_t calls;
    double began, drawn;
    struct buffer text;
};

static double seconds_now(void) {
    return ns_to_seconds(time_monotonic());
}

struct progress *progress_new(int fd) {
    if (!isatty(fd)) return NULL;
    struct progress *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    pthread_mutex_init(&p->mutex, NULL);
    p->fd = fd;
    p->began = seconds_now();
    p->drawn = p->began + seconds_before_first - seconds_per_drawing;
    return p;
}

static void show(struct progress *p) {
    ssize_t ignored = write(p->fd, p->text.at, p->text.length);
    (void)ignored;
}

static void erase(struct progress *p) {
    if (!p->shown) return;
    p->text.length = 0;
    buffer_string(&p->text, "\r\x1b[K");
    show(p);
    p->shown = false;
}

void progress_free(struct progress *p) {
    if (!p) return;
    erase(p);
    buffer_free(&p->text);
    pthread_mutex_destroy(&p->mutex);
    free(p);
}

static void put_bar(struct buffer *b, double share) {
    uint32_t full = (uint32_t)(share * BAR);
    buffer_format(b, "%3u %% ", (unsigned)(share * 100));
    for (uint32_t i = 0; i < BAR; i++) buffer_string(b, i < full ? "█" : "░");
}

static void draw(struct progress *p, uint64_t done, uint64_t total, uint64_t packets, double now) {
    char bytes[FIGURE_SIZE], count[FIGURE_SIZE], left[FIGURE_SIZE];
    struct buffer *b = &p->text;
    b->length = 0;
    buffer_char(b, '\r');
    double share = total ? (double)done / (double)total : 0;
    if (share > 1) share = 1;
    if (total) put_bar(b, share);
    buffer_format(b, "  %s  %s packets", figure_bytes(done, bytes), figure_count(packets, count));
    double elapsed = now - p->began;
    if (share > 0.02) buffer_format(b, "  %s left", figure_duration(elapsed / share * (1 - share), left));
    buffer_string(b, "\x1b[K\r");
    show(p);
    p->shown = true;
}

void progress_update(struct progress *p, uint64_t done, uint64_t total, uint64_t packets) {
    if (!p || ++p->calls % CALLS_PER_LOOK) return;
    double now = seconds_now();
    if (now - p->drawn < seconds_per_drawing) return;
    p->drawn = now;
    if (pthread_mutex_trylock(&p->mutex) != 0) return;
    if (!p->hidden) draw(p, done, total, packets, now);
    pthread_mutex_unlock(&p->mutex);
}

void progress_hide(void *progress) {
    struct progress *p = progress;
    if (!p) return;
    pthread_mutex_lock(&p->mutex);
    p->hidden++;
    erase(p);
    pthread_mutex_unlock(&p->mutex);
}

void progress_show_again(void *progress) {
    struct progress *p = progress;
    if (!p) return;
    pthread_mutex_lock(&p->mutex);
    p->hidden--;
    pthread_mutex_unlock(&p->mutex);
}
