/* Named state of detectors on disk: one file per detector and worker, written beside and renamed.
 *
 *      STATE/beacon.0-of-2.state
 *      STATE/beacon.gathered.state     of the part that gathers over workers
 *
 * Keys were dealt to workers by local host, so a worker's file is good for the same number of workers only;
 * what is gathered is good for any. */
#include "sensor/sensor.h"

#include "base/log.h"
#include "script/reload.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATE_FILE_LIMIT = 1 << 30 };

enum { GATHERED = UINT32_MAX }; /* instead of a worker's number */

static void state_path(const struct sensor *sensor, const char *detector, uint32_t worker,
                       char out[PATH_MAX]) {
    if (worker == GATHERED) {
        snprintf(out, PATH_MAX, "%s/%s.gathered.state", sensor->options->state_folder, detector);
        return;
    }
    snprintf(out, PATH_MAX, "%s/%s.%u-of-%u.state", sensor->options->state_folder, detector, worker,
             sensor->station_count);
}

/* Two sensors would write each other's state over. The lock goes with the process. */
int sensor_lock_state(struct sensor *sensor, struct error *err) {
    char path[PATH_MAX];
    if (!sensor->options->state_folder) return 0;
    snprintf(path, sizeof path, "%s/lock", sensor->options->state_folder);
    sensor->state_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (sensor->state_lock < 0) return error_set(err, "cannot write %s: %s", path, strerror(errno));
    if (flock(sensor->state_lock, LOCK_EX | LOCK_NB) == 0) return 0;
    return error_set(err, "another sensor keeps its state in %s: give this one a folder of its own (--state)",
                     sensor->options->state_folder);
}

/* ------------------------------------------------------------------- saving */

static int file_put(int fd, const struct state_blob *blob) {
    size_t done = 0;
    while (done < blob->size) {
        ssize_t n = write(fd, blob->bytes + done, blob->size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return -1;
        done += (size_t)n;
    }
    return fsync(fd);
}

static int blob_write(const char *path, const struct state_blob *blob, struct error *err) {
    char beside[PATH_MAX + 8];
    snprintf(beside, sizeof beside, "%s.new", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return error_set(err, "cannot write %s: %s", beside, strerror(errno));
    int outcome = file_put(fd, blob);
    if (close(fd) < 0) outcome = -1;
    if (outcome == 0) outcome = rename(beside, path);
    if (outcome == 0) return 0;
    error_set(err, "cannot write %s: %s", path, strerror(errno));
    unlink(beside);
    return -1;
}

/* One detector a letter, so that a worker's pauses stay short. */
struct saving {
    struct letter letter;
    uint32_t index;
    bool there;
    char name[64];
    struct state_blob blob;
};

static void saving_run(struct letter *letter, struct station *station) {
    struct saving *saving = letter->context;
    struct script_host *host = worker_scripts(station_worker(station));
    saving->there = saving->index < script_host_count(host);
    if (!saving->there) return;
    struct detector_status status;
    script_host_status(host, saving->index, &status);
    snprintf(saving->name, sizeof saving->name, "%s", status.name);
    saving->blob = script_host_save(host, saving->index);
}

static int worker_save(struct sensor *sensor, uint32_t worker, struct error *err) {
    int outcome = 0;
    for (uint32_t index = 0;; index++) {
        struct saving saving = {.letter = {.run = saving_run}, .index = index};
        saving.letter.context = &saving;
        if (station_ask(sensor->stations[worker], &saving.letter, SAVE_SECONDS) < 0)
            return error_set(err, "worker %u did not answer within %d s", worker, SAVE_SECONDS);
        if (!saving.there) return outcome;
        if (!saving.blob.bytes) continue;
        char path[PATH_MAX];
        state_path(sensor, saving.name, worker, path);
        if (blob_write(path, &saving.blob, err) < 0) outcome = -1;
        free(saving.blob.bytes);
        sensor_alive(sensor);
    }
}

/* One at a time, and the work goes on in between. */
static int gathered_save(struct sensor *sensor, struct error *err) {
    struct script_host *host = gather_scripts(sensor->gather);
    int outcome = 0;
    for (uint32_t index = 0; index < script_host_count(host); index++) {
        struct detector_status status;
        if (gather_hold(sensor->gather, SAVE_SECONDS) < 0)
            return error_set(err, "messages are still being gathered after %d s", SAVE_SECONDS);
        script_host_status(host, index, &status);
        struct state_blob blob = script_host_save(host, index);
        gather_release(sensor->gather);
        if (!blob.bytes) continue;
        char path[PATH_MAX];
        state_path(sensor, status.name, GATHERED, path);
        if (blob_write(path, &blob, err) < 0) outcome = -1;
        free(blob.bytes);
        sensor_alive(sensor);
    }
    return outcome;
}

void sensor_save(struct sensor *sensor) {
    if (!sensor->options->state_folder) return;
    struct error err = {.text = ""};
    int outcome = gathered_save(sensor, &err);
    for (uint32_t i = 0; i < sensor->station_count; i++)
        if (worker_save(sensor, i, &err) < 0) outcome = -1;
    if (outcome < 0) {
        log_line(LOG_WARNING, "state could not be saved: %s", err.text);
        return;
    }
    pthread_mutex_lock(&sensor->board_mutex);
    sensor->board.state_saved = sensor_wall();
    pthread_mutex_unlock(&sensor->board_mutex);
}

/* ---------------------------------------------------------------- restoring */

static char *file_get(const char *path, size_t *size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0) return NULL;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size > STATE_FILE_LIMIT) {
        close(fd);
        errno = EFBIG;
        return NULL;
    }
    char *bytes = malloc((size_t)status.st_size + 1);
    size_t done = 0;
    while (bytes && done < (size_t)status.st_size) {
        ssize_t n = read(fd, bytes + done, (size_t)status.st_size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        done += (size_t)n;
    }
    close(fd);
    *size = done;
    return bytes;
}

/* A detector whose state cannot be used begins without. */
static bool detector_restore(struct sensor *sensor, struct script_host *host, uint32_t worker,
                             const char *name) {
    char path[PATH_MAX];
    size_t size = 0;
    state_path(sensor, name, worker, path);
    char *bytes = file_get(path, &size);
    if (!bytes) {
        if (errno != ENOENT) log_line(LOG_WARNING, "%s: %s", path, strerror(errno));
        return false;
    }
    struct error err;
    int outcome = script_host_restore(host, name, bytes, size, &err);
    free(bytes);
    if (outcome == 0) return true;
    log_line(LOG_WARNING, "%s is not used: %s", path, err.text);
    return false;
}

static uint32_t host_restore(struct sensor *sensor, struct script_host *host, uint32_t worker) {
    uint32_t restored = 0;
    for (uint32_t i = 0; i < script_host_count(host); i++) {
        struct detector_status status;
        script_host_status(host, i, &status);
        restored += detector_restore(sensor, host, worker, status.name);
        supervised_alive(sensor->self);
    }
    return restored;
}

void sensor_restore(struct sensor *sensor) {
    if (!sensor->options->state_folder) return;
    uint32_t restored = host_restore(sensor, gather_scripts(sensor->gather), GATHERED);
    for (uint32_t worker = 0; worker < sensor->station_count; worker++)
        restored += host_restore(sensor, worker_scripts(station_worker(sensor->stations[worker])), worker);
    if (restored > 0)
        log_line(LOG_INFO, "state restored: %u detectors over %u workers", restored, sensor->station_count);
}
