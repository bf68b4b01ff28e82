/* See story.h. Packets lie one behind the other in one buffer; a step says when, what and where. Before it is
 * played the steps are sorted. */
#include "workbench/story.h"

#include "capture/capture.h"
#include "capture/pcapng_write.h"
#include "sensor/worker.h"
#include "workbench/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINKTYPE_ETHERNET = 1, SAVE_BUFFER = 1 << 16, TICK_MOST = 64 };
enum step_kind { STEP_PACKET, STEP_EVENT, STEP_CAPTURE };

struct step {
    nanoseconds time;
    uint32_t number; /* in the order of telling */
    uint32_t length; /* of a packet */
    size_t at;       /* of a packet in `bytes`; the index of an event or a capture */
    enum step_kind kind;
};

struct captures {
    char **paths;
    size_t count;
};

struct story {
    struct step *steps;
    uint32_t count, room;
    bool sorted;
    struct buffer bytes;
    struct made_event *events;
    size_t event_count;
    struct captures *captures;
    size_t capture_count;
    char **host_logs;
    size_t host_log_count;
};

struct story *story_new(void) {
    return calloc(1, sizeof(struct story));
}

void story_free(struct story *story) {
    if (!story) return;
    for (size_t i = 0; i < story->event_count; i++) made_event_free(&story->events[i]);
    for (size_t i = 0; i < story->capture_count; i++) {
        for (size_t k = 0; k < story->captures[i].count; k++) free(story->captures[i].paths[k]);
        free(story->captures[i].paths);
    }
    for (size_t i = 0; i < story->host_log_count; i++) free(story->host_logs[i]);
    free(story->host_logs);
    free(story->captures);
    free(story->events);
    free(story->steps);
    buffer_free(&story->bytes);
    free(story);
}

/* ── telling ─────────────────────────────────────────────────────── */

static int step_add(struct story *story, const struct step *step, struct error *err) {
    if (story->count == STORY_STEPS)
        return error_set(err, "more than %d packets and events in one case", STORY_STEPS);
    if (story->count == story->room) {
        uint32_t room = story->room ? story->room * 2 : 256;
        struct step *grown = realloc(story->steps, room * sizeof *grown);
        if (!grown) return error_set(err, "out of memory");
        story->steps = grown;
        story->room = room;
    }
    story->steps[story->count] = *step;
    story->steps[story->count].number = story->count;
    story->count++;
    story->sorted = false;
    return 0;
}

int story_packet(struct story *story, nanoseconds time, const void *bytes, uint32_t length,
                 struct error *err) {
    if (story->bytes.length + length > STORY_BYTES)
        return error_set(err, "the packets of one case may have %d MiB in all", STORY_BYTES >> 20);
    struct step step = {.time = time, .kind = STEP_PACKET, .at = story->bytes.length, .length = length};
    buffer_put(&story->bytes, bytes, length);
    if (story->bytes.failed) return error_set(err, "out of memory");
    return step_add(story, &step, err);
}

int story_event(struct story *story, nanoseconds time, const struct made_event *event, struct error *err) {
    struct step step = {.time = time, .kind = STEP_EVENT, .at = story->event_count};
    struct made_event *grown = realloc(story->events, (story->event_count + 1) * sizeof *grown);
    if (!grown) return error_set(err, "out of memory");
    story->events = grown;
    struct made_event *kept = &grown[story->event_count];
    *kept = *event;
    kept->bytes = (struct buffer){.at = NULL};
    buffer_put(&kept->bytes, event->bytes.at, event->bytes.length);
    story->event_count++;
    if (kept->bytes.failed) return error_set(err, "out of memory");
    return step_add(story, &step, err);
}

static int times_of(const char *const *paths, size_t count, nanoseconds *first, nanoseconds *last,
                    struct error *err) {
    struct packet packets[PACKET_BURST];
    struct capture *capture = capture_open(paths, count, err);
    if (!capture) return -1;
    *first = *last = -1;
    for (int n; (n = capture_next_burst(capture, packets)) > 0;) {
        for (int i = 0; i < n; i++) {
            if (*last < 0) *first = packets[i].time;
            if (packets[i].time > *last) *last = packets[i].time;
        }
    }
    capture_close(capture);
    return 0;
}

int story_capture(struct story *story, const char *const *paths, size_t count, nanoseconds *first,
                  nanoseconds *last, struct error *err) {
    if (times_of(paths, count, first, last, err) < 0) return -1;
    if (*last < 0) return 0;
    struct step step = {.time = *first, .kind = STEP_CAPTURE, .at = story->capture_count};
    struct captures *grown = realloc(story->captures, (story->capture_count + 1) * sizeof *grown);
    if (!grown) return error_set(err, "out of memory");
    story->captures = grown;
    struct captures *kept = &grown[story->capture_count];
    *kept = (struct captures){.paths = calloc(count, sizeof(char *))};
    if (!kept->paths) return error_set(err, "out of memory");
    story->capture_count++;
    for (; kept->count < count; kept->count++) {
        kept->paths[kept->count] = strdup(paths[kept->count]);
        if (!kept->paths[kept->count]) return error_set(err, "out of memory");
    }
    return step_add(story, &step, err);
}

int story_host_log(struct story *story, const char *word, struct error *err) {
    char **grown = realloc(story->host_logs, (story->host_log_count + 1) * sizeof *grown);
    if (!grown) return error_set(err, "out of memory");
    story->host_logs = grown;
    grown[story->host_log_count] = strdup(word);
    if (!grown[story->host_log_count]) return error_set(err, "out of memory");
    story->host_log_count++;
    return 0;
}

struct endpoint_logs story_host_logs(const struct story *story) {
    return (struct endpoint_logs){.words = (const char *const *)story->host_logs,
                                  .count = story->host_log_count};
}

/* ── playing ─────────────────────────────────────────────────────── */

static int compare_steps(const void *left, const void *right) {
    const struct step *a = left, *b = right;
    if (a->time != b->time) return a->time < b->time ? -1 : 1;
    return a->number < b->number ? -1 : 1;
}

static void story_sort(struct story *story) {
    if (!story->sorted && story->count > 1)
        qsort(story->steps, story->count, sizeof *story->steps, compare_steps);
    story->sorted = true;
}

static struct packet packet_of(const void *bytes, uint32_t length, nanoseconds time) {
    return (struct packet){
        .bytes = bytes, .captured = length, .original = length, .time = time, .link_type = LINKTYPE_ETHERNET};
}

/* Moves the clock as a packet would. */
static void play_tick(struct rig *rig, nanoseconds time) {
    uint8_t bytes[TICK_MOST];
    struct packet packet = packet_of(bytes, frame_tick(bytes), time);
    rig_packets(rig, &packet, 1);
}

static uint32_t play_packets(const struct story *story, struct rig *rig, uint32_t from) {
    struct packet burst[PACKET_BURST];
    uint32_t n = 0;
    while (n < PACKET_BURST && from + n < story->count && story->steps[from + n].kind == STEP_PACKET) {
        const struct step *step = &story->steps[from + n];
        burst[n++] = packet_of(story->bytes.at + step->at, step->length, step->time);
    }
    rig_packets(rig, burst, n);
    return from + n;
}

static int play_capture(const struct story *story, struct rig *rig, size_t index, struct error *err) {
    const struct captures *captures = &story->captures[index];
    return rig_captures(rig, (const char *const *)captures->paths, captures->count, NULL, err);
}

static int play_steps(struct story *story, struct rig *rig, const struct home *home, struct error *err) {
    for (uint32_t i = 0; i < story->count;) {
        const struct step *step = &story->steps[i];
        if (step->kind == STEP_PACKET) {
            i = play_packets(story, rig, i);
            continue;
        }
        if (step->kind == STEP_CAPTURE && play_capture(story, rig, step->at, err) < 0) return -1;
        if (step->kind == STEP_EVENT) {
            play_tick(rig, step->time);
            made_event_commit(&story->events[step->at], worker_batch(rig_worker(rig)), step->time, home);
        }
        i++;
    }
    return 0;
}

int story_play(struct story *story, struct rig *rig, const char *home_networks, nanoseconds end,
               struct error *err) {
    struct home *home = home_new(home_networks, err);
    if (!home) return -1;
    story_sort(story);
    int outcome = play_steps(story, rig, home, err);
    home_free(home);
    if (outcome == 0) play_tick(rig, end);
    return outcome;
}

int story_save(struct story *story, const char *path, const char *comment, struct error *err) {
    if (story->bytes.length == 0) return 0;
    void *buffer = malloc(SAVE_BUFFER);
    if (!buffer) return error_set(err, "out of memory");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        free(buffer);
        return error_set(err, "%s: %s", path, strerror(errno));
    }
    struct pcapng_writer writer;
    const struct pcapng_section section = {
        .comment = {.at = (const uint8_t *)comment, .length = (uint32_t)strlen(comment)},
        .application = "lunette test"};
    pcapng_begin(&writer, fd, buffer, SAVE_BUFFER, &section, NULL, NULL);
    story_sort(story);
    int outcome = 0;
    for (uint32_t i = 0; i < story->count && outcome == 0; i++) {
        const struct step *step = &story->steps[i];
        if (step->kind != STEP_PACKET) continue;
        struct packet packet = packet_of(story->bytes.at + step->at, step->length, step->time);
        outcome = pcapng_packet(&writer, &packet, (struct slice){.at = NULL});
    }
    if (outcome == 0) outcome = pcapng_flush(&writer);
    if (close(fd) < 0 && outcome == 0)
        outcome = error_set(err, "%s: %s", path, strerror(errno));
    else if (outcome < 0)
        error_set(err, "%s: %s", path, strerror(writer.failure));
    free(buffer);
    return outcome;
}
