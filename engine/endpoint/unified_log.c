/* The unified log as `log stream` and `log show` print it with --style ndjson. It tells of no start and no
 * end, but each line names who wrote it (pid, path and UUID of the executable), and mDNSResponder's lines
 * name those who asked it: "…, client pid: 321 (curl)", "delegator pid: 400 (WebKit)". Names there are cut
 * to 16 bytes. */
#include "endpoint/json_read.h"
#include "endpoint/line.h"
#include "endpoint/when.h"

#include <stdlib.h>
#include <string.h>

/* The number behind `words`, and the name in brackets behind that. */
static void client_read(struct line_reader *reader, const char *message, const char *words,
                        nanoseconds time) {
    const char *at = strstr(message, words);
    if (!at) return;
    char *end;
    long pid = strtol(at + strlen(words), &end, 10);
    if (pid <= 0 || pid > INT32_MAX || strncmp(end, " (", 2) != 0) return;
    const char *name = end + 2, *close = strchr(name, ')');
    if (!close || close == name || close - name > 64 || *name == '<') return; /* <private> */
    struct news *news = line_draft(reader, NEWS_LOG);
    news->action = NEWS_SEEN;
    news->time = time;
    news->actor.pid = (int32_t)pid;
    news->actor.name = span_of(name, (size_t)(close - name));
    line_give(reader);
}

enum line_outcome unified_log_read(struct line_reader *reader, const json_t *line) {
    struct span text = json_member_text(line, "timestamp"), path = json_member_text(line, "processImagePath");
    const json_t *message = json_object_get(line, "eventMessage");
    struct news *news = line_draft(reader, NEWS_LOG);
    nanoseconds time;
    if (!when_read(text.at, text.length, &time))
        return line_broken(reader, "log: no timestamp, as 2024-06-11 10:39:21.901234+0200");
    news->action = NEWS_SEEN;
    news->time = time;
    news->actor.pid = json_to_pid(json_object_get(line, "processID"));
    news->actor.uid = json_to_u32(json_object_get(line, "userID"), NEWS_NO_UID);
    news->actor.path = path;
    news->uuid = json_member_text(line, "processImageUUID");
    bool from_resolver = path.length >= 13 && memcmp(path.at + path.length - 13, "mDNSResponder", 13) == 0;
    if (news->actor.pid != NEWS_NO_PID && path.at) line_give(reader);
    if (!from_resolver || !json_is_string(message)) return LINE_READ;
    client_read(reader, json_string_value(message), "client pid: ", time);
    client_read(reader, json_string_value(message), "delegator pid: ", time);
    return LINE_READ;
}
