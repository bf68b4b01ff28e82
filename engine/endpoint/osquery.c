/* osquery's result logs: rows of tables, one a line ("columns"), or many ("snapshot", "diffResults"). The
 * table is not named; the query's name is the operator's. So a row is told by its columns:
 *
 *      event_type, pid, path        es_process_events     exec, fork, exit
 *      action, remote_port, pid     socket_events         connect, accept, bind, listen, close
 *      remote_port, local_port, pid process_open_sockets
 *      cmdline, pid, parent, time   process_events        exec (OpenBSM)
 *
 * Values are strings unless --logger_numerics says so; both are read. Times have whole seconds. */
#include "endpoint/json_read.h"
#include "endpoint/line.h"
#include "endpoint/when.h"

#include <string.h>

/* The row's own time, else that of its line. */
static bool time_of(const json_t *row, const json_t *line, nanoseconds *out) {
    double seconds = json_member_number(row, "time", -1);
    if (seconds <= 0) seconds = json_member_number(line, "unixTime", -1);
    return when_of_seconds(seconds, out);
}

static void common_read(struct news *news, const json_t *row, const json_t *line) {
    struct image *actor = &news->actor;
    actor->pid = json_to_pid(json_object_get(row, "pid"));
    actor->parent_pid = json_to_pid(json_object_get(row, "original_parent"));
    if (actor->parent_pid <= 0) actor->parent_pid = json_to_pid(json_object_get(row, "parent"));
    actor->uid =
        json_to_u32(json_object_get(row, "euid"), json_to_u32(json_object_get(row, "uid"), NEWS_NO_UID));
    actor->path = json_member_text(row, "path");
    actor->signing_id = json_member_text(row, "signing_id");
    actor->team_id = json_member_text(row, "team_id");
    actor->cdhash = json_member_text(row, "cdhash");
    double platform = json_member_number(row, "platform_binary", -1);
    if (platform >= 0) actor->platform = platform > 0 ? "yes" : "no";
    news->username = json_member_text(row, "username");
    news->host = json_member_text(line, "hostIdentifier");
    if (!news->host.at) news->host = json_member_text(line, "hostname");
}

static void exec_take(struct line_reader *reader, const json_t *row) {
    struct news *news = &reader->draft;
    struct span cmdline = json_member_text(row, "cmdline");
    news->action = NEWS_EXEC;
    news->image = news->actor;
    news->actor.path = news->actor.signing_id = news->actor.team_id = news->actor.cdhash =
        (struct span){NULL, 0}; /* what it was before is not told */
    news->actor.platform = NULL;
    news->cwd = json_member_text(row, "cwd");
    if (cmdline.at) line_argument(reader, cmdline.at, cmdline.length);
    line_give(reader);
}

static void es_event_take(struct line_reader *reader, const json_t *row, struct span type) {
    struct news *news = &reader->draft;
    if (span_is(type, "exec")) {
        exec_take(reader, row);
    } else if (span_is(type, "fork")) {
        news->action = NEWS_FORK;
        news->image.pid = json_to_pid(json_object_get(row, "child_pid"));
        news->image.parent_pid = news->actor.pid;
        if (news->image.pid != NEWS_NO_PID) line_give(reader);
    } else if (span_is(type, "exit")) {
        uint32_t status = json_to_u32(json_object_get(row, "exit_code"), 0); /* as wait(2) has it */
        news->action = NEWS_EXIT;
        news->has_exit = true;
        news->exit_signal = status & 0x7f;
        news->exit_status = status >> 8 & 0xff;
        line_give(reader);
    }
}

static void address_read(const json_t *row, const char *key, struct ip *out) {
    const char *text = json_string_value(json_object_get(row, key));
    struct ip address;
    static const struct ip none;
    *out = none;
    if (!text || ip_parse(text, &address) < 0) return;
    static const uint8_t any[4];
    if (ip_is_v4(&address) && memcmp(address.bytes + 12, any, 4) == 0) return; /* 0.0.0.0: any */
    *out = address;
}

static uint16_t port_of(const json_t *row, const char *key) {
    double port = json_member_number(row, key, 0);
    return port > 0 && port <= UINT16_MAX ? (uint16_t)port : 0;
}

/* `gone`: the row was removed from a snapshot's result. */
static void socket_take(struct line_reader *reader, const json_t *row, bool gone) {
    struct news *news = &reader->draft;
    struct span action = json_member_text(row, "action");
    struct socket_name *socket = &news->socket;
    double family = json_member_number(row, "family", 2), proto = json_member_number(row, "protocol", 0);
    if (family != 2 && family != 30 && family != 10) return; /* inet, inet6 of Darwin and of Linux */
    if (json_member_number(row, "success", 1) == 0) return;
    address_read(row, "local_address", &socket->local);
    address_read(row, "remote_address", &socket->remote);
    socket->local_port = port_of(row, "local_port");
    socket->remote_port = port_of(row, "remote_port");
    socket->proto = proto > 0 && proto < 256 ? (uint8_t)proto : 0;
    if (socket->local_port == 0 && socket->remote_port == 0) return;
    news->action = gone || span_is(action, "close") ? NEWS_CLOSED : NEWS_SOCKET;
    line_give(reader);
}

static bool has(const json_t *row, const char *key) {
    return json_object_get(row, key) != NULL;
}

/* False: the row has no process or no time. Rows of other tables are none of ours, and fine. */
static bool row_read(struct line_reader *reader, const json_t *row, const json_t *line, bool gone) {
    bool sockets = has(row, "remote_port") && has(row, "pid");
    struct span type = json_member_text(row, "event_type");
    bool es = type.at && has(row, "pid"), bsm = has(row, "cmdline") && has(row, "pid") && has(row, "eid");
    if (!sockets && !es && !bsm) return true;
    if (gone && !sockets) return true;
    struct news *news = line_draft(reader, NEWS_OSQUERY);
    common_read(news, row, line);
    if (news->actor.pid == NEWS_NO_PID)
        return json_member_number(row, "pid", 0) < 0; /* -1: osquery did not know */
    if (!time_of(row, line, &news->time)) return false;
    if (sockets)
        socket_take(reader, row, gone);
    else if (es)
        es_event_take(reader, row, type);
    else
        exec_take(reader, row);
    return true;
}

static bool rows_read(struct line_reader *reader, const json_t *rows, const json_t *line, bool gone) {
    size_t i;
    const json_t *row;
    bool fine = true;
    json_array_foreach(rows, i, row) fine &= row_read(reader, row, line, gone);
    return fine;
}

enum line_outcome osquery_read(struct line_reader *reader, const json_t *line) {
    const json_t *diff = json_object_get(line, "diffResults");
    bool removed = span_is(json_member_text(line, "action"), "removed"), fine = true;
    if (has(line, "columns")) fine &= row_read(reader, json_object_get(line, "columns"), line, removed);
    fine &= rows_read(reader, json_object_get(line, "snapshot"), line, false);
    fine &= rows_read(reader, json_object_get(diff, "removed"), line, true);
    fine &= rows_read(reader, json_object_get(diff, "added"), line, false);
    return fine ? LINE_READ : line_broken(reader, "osquery: a row of processes without pid or time");
}
