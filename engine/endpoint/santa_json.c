/* Santa's JSON log: its protobuf messages as objects, one key naming the event. Bytes are base64: hashes, and
 * each argument of an exec. */
#include "base/base64.h"
#include "endpoint/json_read.h"
#include "endpoint/line.h"
#include "endpoint/when.h"

#include <stdio.h>
#include <string.h>

bool santa_json_is(const json_t *line) {
    static const char *const events[] = {"execution", "fork",   "exit",      "close",
                                         "rename",    "unlink", "link",      "exchangedata",
                                         "disk",      "bundle", "allowlist", "file_access"};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        if (json_is_object(json_object_get(line, events[i]))) return true;
    return false;
}

static struct span hash_of(const json_t *signature, char room[128]) {
    struct span text = json_member_text(signature, "cdhash");
    uint8_t bytes[60];
    if (!text.at) return text;
    size_t length = base64_decode(text.at, text.length, bytes, sizeof bytes);
    for (size_t i = 0; i < length; i++) snprintf(room + 2 * i, 3, "%02x", bytes[i]);
    return span_of(room, 2 * length);
}

static bool process_read(const json_t *process, struct image *image, char hash_room[128]) {
    const json_t *id = json_object_get(process, "id"),
                 *signature = json_object_get(process, "code_signature");
    image->pid = json_to_pid(json_object_get(id, "pid"));
    if (image->pid == NEWS_NO_PID) return false;
    image->version = json_to_u32(json_object_get(id, "pidversion"), 0);
    image->parent_pid = json_to_pid(json_object_get(process, "original_parent_pid"));
    if (image->parent_pid <= 0)
        image->parent_pid = json_to_pid(json_object_get(json_object_get(process, "parent_id"), "pid"));
    image->responsible_pid = json_to_pid(json_object_get(json_object_get(process, "responsible_id"), "pid"));
    image->uid = json_to_u32(json_object_get(json_object_get(process, "effective_user"), "uid"), NEWS_NO_UID);
    image->path = json_member_text(json_object_get(process, "executable"), "path");
    image->signing_id = json_member_text(signature, "signing_id");
    image->team_id = json_member_text(signature, "team_id");
    image->cdhash = hash_of(signature, hash_room);
    const json_t *platform = json_object_get(process, "is_platform_binary");
    if (json_is_boolean(platform)) image->platform = json_is_true(platform) ? "yes" : "no";
    return true;
}

static void arguments_read(struct line_reader *reader, const json_t *arguments) {
    uint8_t decoded[NEWS_TEXT_MOST];
    size_t i;
    const json_t *argument;
    json_array_foreach(arguments, i, argument) {
        if (!json_is_string(argument)) continue;
        size_t length =
            base64_decode(json_string_value(argument), json_string_length(argument), decoded, sizeof decoded);
        line_argument(reader, (const char *)decoded, length);
    }
}

static enum line_outcome no_process(struct line_reader *reader, const char *what) {
    return line_broken(reader, "Santa: no process id in %s", what);
}

static enum line_outcome event_read(struct line_reader *reader, const json_t *event,
                                    enum news_action action) {
    struct news *news = &reader->draft;
    const json_t *instigator = json_object_get(event, "instigator");
    const json_t *other = json_object_get(event, action == NEWS_EXEC ? "target" : "child");
    news->action = action;
    if (!process_read(instigator, &news->actor, reader->hexes[0])) return no_process(reader, "instigator");
    if (action == NEWS_EXIT) {
        const json_t *signaled = json_object_get(event, "signaled");
        news->has_exit = true;
        news->exit_status = json_to_u32(json_object_get(json_object_get(event, "exited"), "exit_status"), 0);
        news->exit_signal = json_to_u32(json_object_get(signaled, "signal"), 0);
    } else if (!process_read(other, &news->image, reader->hexes[1])) {
        return no_process(reader, action == NEWS_EXEC ? "target" : "child");
    }
    const json_t *who = action == NEWS_EXIT ? instigator : other;
    news->username = json_member_text(json_object_get(who, "effective_user"), "name");
    if (action == NEWS_EXEC) {
        news->cwd = json_member_text(json_object_get(event, "working_directory"), "path");
        arguments_read(reader, json_object_get(event, "args"));
    }
    line_give(reader);
    return LINE_READ;
}

enum line_outcome santa_json_read(struct line_reader *reader, const json_t *line) {
    const json_t *exec = json_object_get(line, "execution"), *fork = json_object_get(line, "fork");
    const json_t *exit = json_object_get(line, "exit");
    if (!exec && !fork && !exit) return LINE_READ;
    const char *decision = json_string_value(json_object_get(exec, "decision"));
    if (decision && strstr(decision, "DENY")) return LINE_READ; /* it never ran */
    struct news *news = line_draft(reader, NEWS_SANTA);
    struct span time = json_member_text(line, "event_time");
    if (!when_read(time.at, time.length, &news->time))
        return line_broken(reader, "Santa: no event_time, as 2024-06-11T08:39:21.901Z");
    news->host = json_member_text(line, "machine_id");
    if (exec) return event_read(reader, exec, NEWS_EXEC);
    return fork ? event_read(reader, fork, NEWS_FORK) : event_read(reader, exit, NEWS_EXIT);
}
