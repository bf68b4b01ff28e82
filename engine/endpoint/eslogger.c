/* eslogger (macOS 13 and later): one Endpoint Security message a line. Facts: its man page, and lines as
 * public code reads them; the format is no interface and changes between versions. An audit token is an
 * object up to message version 9 and an array of eight numbers from 10 on, in the order auid, euid, egid,
 * ruid, rgid, pid, asid, pidversion. Of exec, `process` is the image before and `event.exec.target` the one
 * after it.
 *
 * A child whose parent ended is given to launchd: `original_ppid` still has the first parent, which is the
 * one that tells where a program came from. */
#include "endpoint/json_read.h"
#include "endpoint/line.h"
#include "endpoint/when.h"

#include <string.h>

enum { TOKEN_EUID = 1, TOKEN_PID = 5, TOKEN_PIDVERSION = 7 };

static const json_t *token_part(const json_t *token, const char *key, size_t place) {
    return json_is_array(token) ? json_array_get(token, place) : json_object_get(token, key);
}

static int32_t token_pid(const json_t *token) {
    return json_to_pid(token_part(token, "pid", TOKEN_PID));
}

/* Upper-case hex, all zero for what is not signed. */
static struct span hash_of(const json_t *process, char room[128]) {
    struct span hash = json_member_text(process, "cdhash");
    bool zero = true;
    if (!hash.at || hash.length >= 128) return (struct span){NULL, 0};
    for (uint32_t i = 0; i < hash.length; i++) {
        char c = hash.at[i];
        zero &= c == '0';
        room[i] = c >= 'A' && c <= 'F' ? (char)(c + ('a' - 'A')) : c;
    }
    return zero ? (struct span){NULL, 0} : span_of(room, hash.length);
}

/* Microseconds since 1970, or a time in words. */
static nanoseconds born_of(const json_t *process) {
    nanoseconds born = 0;
    const json_t *start = json_object_get(process, "start_time");
    if (json_is_number(start)) {
        double micros = json_number_value(start); /* exact: below 2^53 */
        return micros > 0 && micros < 4294967296e6 ? (nanoseconds)micros * NS_PER_MICROSECOND : 0;
    }
    struct span text = json_member_text(process, "start_time");
    return when_read(text.at, text.length, &born) ? born : 0;
}

static bool process_read(const json_t *process, struct image *image, char hash_room[128]) {
    const json_t *token = json_object_get(process, "audit_token");
    image->pid = token_pid(token);
    if (image->pid == NEWS_NO_PID) return false;
    image->version = json_to_u32(token_part(token, "pidversion", TOKEN_PIDVERSION), 0);
    image->uid = json_to_u32(token_part(token, "euid", TOKEN_EUID), NEWS_NO_UID);
    image->responsible_pid = token_pid(json_object_get(process, "responsible_audit_token"));
    image->parent_pid = json_to_pid(json_object_get(process, "original_ppid"));
    if (image->parent_pid <= 0) image->parent_pid = token_pid(json_object_get(process, "parent_audit_token"));
    if (image->parent_pid == NEWS_NO_PID) image->parent_pid = json_to_pid(json_object_get(process, "ppid"));
    image->born = born_of(process);
    image->path = json_member_text(json_object_get(process, "executable"), "path");
    image->signing_id = json_member_text(process, "signing_id");
    image->team_id = json_member_text(process, "team_id");
    image->cdhash = hash_of(process, hash_room);
    const json_t *platform = json_object_get(process, "is_platform_binary");
    if (json_is_boolean(platform)) image->platform = json_is_true(platform) ? "yes" : "no";
    return true;
}

static enum line_outcome no_process(struct line_reader *reader, const char *what) {
    return line_broken(reader, "eslogger: no process id in %s", what);
}

static enum line_outcome exec_read(struct line_reader *reader, const json_t *exec) {
    struct news *news = &reader->draft;
    size_t i;
    const json_t *argument;
    if (!process_read(json_object_get(exec, "target"), &news->image, reader->hexes[1]))
        return no_process(reader, "event.exec.target");
    news->action = NEWS_EXEC;
    news->cwd = json_member_text(json_object_get(exec, "cwd"), "path");
    json_array_foreach(json_object_get(exec, "args"), i, argument) {
        if (json_is_string(argument))
            line_argument(reader, json_string_value(argument), json_string_length(argument));
    }
    line_give(reader);
    return LINE_READ;
}

static enum line_outcome fork_read(struct line_reader *reader, const json_t *fork) {
    struct news *news = &reader->draft;
    if (!process_read(json_object_get(fork, "child"), &news->image, reader->hexes[1]))
        return no_process(reader, "event.fork.child");
    news->action = NEWS_FORK;
    line_give(reader);
    return LINE_READ;
}

/* As wait(2) has it: the low seven bits are the signal, the next byte but one the code. */
static enum line_outcome exit_read(struct line_reader *reader, const json_t *exit) {
    struct news *news = &reader->draft;
    uint32_t status = json_to_u32(json_object_get(exit, "stat"), 0);
    news->action = NEWS_EXIT;
    news->has_exit = true;
    news->exit_signal = status & 0x7f;
    news->exit_status = status >> 8 & 0xff;
    line_give(reader);
    return LINE_READ;
}

enum line_outcome eslogger_read(struct line_reader *reader, const json_t *line) {
    const json_t *event = json_object_get(line, "event");
    const json_t *exec = json_object_get(event, "exec"), *fork = json_object_get(event, "fork");
    const json_t *exit = json_object_get(event, "exit");
    if (!exec && !fork && !exit) return LINE_READ;
    struct news *news = line_draft(reader, NEWS_ESLOGGER);
    struct span time = json_member_text(line, "time");
    if (!when_read(time.at, time.length, &news->time))
        return line_broken(reader, "eslogger: no time, as 2024-06-11T08:39:21.901Z");
    if (!process_read(json_object_get(line, "process"), &news->actor, reader->hexes[0]))
        return no_process(reader, "process");
    if (exec) return exec_read(reader, exec);
    return fork ? fork_read(reader, fork) : exit_read(reader, exit);
}
