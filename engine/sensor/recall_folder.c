/* The folder is opened once and everything done relative to it, so it may be renamed, and the program's own
 * folder changed, while it runs. */
#include "sensor/recall_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TIME_DIGITS = 16, /* 20260321T101502Z */
    DETECTOR_MOST = 48,
    WHO_MOST = 64,
    TRIES = 100,
    OLDEST_AT_ONCE = 64,
};

static const char ending[] = ".pcapng";

int folder_open(struct recall_folder *folder, const char *path, struct error *err) {
    *folder = (struct recall_folder){.fd = -1};
    if (mkdir(path, 0750) == -1 && errno != EEXIST)
        return error_set(err, "cannot make the folder \"%s\" for captures of alerts: %s", path,
                         strerror(errno));
    folder->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->fd == -1)
        return error_set(err, "cannot open the folder \"%s\" for captures of alerts: %s", path,
                         strerror(errno));
    if (faccessat(folder->fd, ".", W_OK | X_OK, AT_EACCESS) == -1) {
        error_set(err,
                  "cannot write captures of alerts to the folder \"%s\": %s; it must belong to the user "
                  "that lunette runs as",
                  path, strerror(errno));
        folder_close(folder);
        return -1;
    }
    folder->path = strdup(path);
    if (folder->path) return 0;
    folder_close(folder);
    return error_set(err, "out of memory");
}

void folder_close(struct recall_folder *folder) {
    if (folder->fd != -1) close(folder->fd);
    free(folder->path);
    *folder = (struct recall_folder){.fd = -1};
}

/* ── names ───────────────────────────────────────────────────────── */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_plain(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' ||
           c == '_';
}

/* A run of bytes that are not plain becomes one '_'. Returns the length, at least 1. */
static int put_plain(char *out, const char *text, int most) {
    int length = 0;
    for (; text && *text && length < most; text++) {
        if (is_plain(*text))
            out[length++] = *text;
        else if (length == 0 || out[length - 1] != '_')
            out[length++] = '_';
    }
    if (length == 0) out[length++] = '_';
    return length;
}

static int put_time(char *out, nanoseconds time) {
    char full[TIMESTAMP_LENGTH + 1]; /* 2026-03-21T10:15:02.… */
    time_format_eve(time, full);
    int length = 0;
    for (int i = 0; i < 19; i++)
        if (full[i] != '-' && full[i] != ':') out[length++] = full[i];
    out[length++] = 'Z';
    return length;
}

bool folder_name_is_ours(const char *name) {
    size_t length = strlen(name), tail = sizeof ending - 1;
    if (length >= FOLDER_NAME_SIZE || length < TIME_DIGITS + 6 + tail) return false;
    for (int i = 0; i < TIME_DIGITS; i++)
        if (i == 8 ? name[i] != 'T' : i == 15 ? name[i] != 'Z' : !is_digit(name[i])) return false;
    if (name[TIME_DIGITS] != '-' || strcmp(name + length - tail, ending) != 0) return false;
    const char *number = name + length - tail;
    while (is_digit(number[-1])) number--;
    if (number == name + length - tail || number[-1] != '-') return false;
    int dashes = 0; /* detector-who at least */
    for (const char *p = name + TIME_DIGITS + 1; p < number - 1; p++) {
        if (!is_plain(*p)) return false;
        dashes += *p == '-';
    }
    return dashes > 0;
}

int folder_create(const struct recall_folder *folder, nanoseconds time, const char *detector, const char *who,
                  uint64_t number, char name[FOLDER_NAME_SIZE]) {
    int length = put_time(name, time);
    name[length++] = '-';
    length += put_plain(name + length, detector, DETECTOR_MOST);
    name[length++] = '-';
    length += put_plain(name + length, who, WHO_MOST);
    for (int i = 1; i <= TRIES; i++) {
        char again[8] = "";
        if (i > 1) snprintf(again, sizeof again, "-%d", i);
        snprintf(name + length, (size_t)(FOLDER_NAME_SIZE - length), "-%llu%s%s", (unsigned long long)number,
                 again, ending);
        int fd = openat(folder->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
        if (fd != -1 || errno != EEXIST) return fd;
    }
    return -1;
}

/* ── not too many ────────────────────────────────────────────────── */

/* The names that come first, in order. */
struct oldest {
    char names[OLDEST_AT_ONCE][FOLDER_NAME_SIZE];
    uint32_t count;
};

static void oldest_offer(struct oldest *oldest, const char *name) {
    uint32_t at = oldest->count;
    while (at > 0 && strcmp(name, oldest->names[at - 1]) < 0) at--;
    if (at == OLDEST_AT_ONCE) return;
    uint32_t last = oldest->count < OLDEST_AT_ONCE ? oldest->count++ : OLDEST_AT_ONCE - 1;
    memmove(oldest->names[at + 1], oldest->names[at], (last - at) * FOLDER_NAME_SIZE);
    memcpy(oldest->names[at], name, strlen(name) + 1);
}

static bool is_file(const struct recall_folder *folder, const struct dirent *entry) {
    struct stat seen;
    if (entry->d_type != DT_UNKNOWN) return entry->d_type == DT_REG;
    return fstatat(folder->fd, entry->d_name, &seen, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(seen.st_mode);
}

/* Returns how many files are ours, or -1. */
static int64_t folder_count(const struct recall_folder *folder, struct oldest *oldest) {
    int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *all = fd == -1 ? NULL : fdopendir(fd);
    if (!all) {
        if (fd != -1) close(fd);
        return -1;
    }
    int64_t count = 0;
    oldest->count = 0;
    for (struct dirent *entry; (entry = readdir(all));) {
        if (!folder_name_is_ours(entry->d_name) || !is_file(folder, entry)) continue;
        oldest_offer(oldest, entry->d_name);
        count++;
    }
    closedir(all);
    return count;
}

int folder_prune(const struct recall_folder *folder, uint32_t keep) {
    struct oldest oldest;
    int gone = 0;
    for (;;) {
        int64_t count = folder_count(folder, &oldest);
        if (count < 0) return -1;
        if (count <= keep) return gone;
        int64_t more = count - keep;
        if (more > oldest.count) more = oldest.count;
        for (int64_t i = 0; i < more; i++) {
            if (unlinkat(folder->fd, oldest.names[i], 0) == 0)
                gone++;
            else if (errno != ENOENT) /* another worker was faster */
                return -1;
        }
        if (count - more <= keep) return gone;
    }
}
