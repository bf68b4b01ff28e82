/* Lines of endpoint logs, as shared/reference tells their formats: eslogger with both shapes of audit tokens,
 * log --style ndjson, osquery, Santa. Then lines that are spoilt in every way: they must be refused or read,
 * never harm (the sanitizers watch). */
#include "endpoint/line.h"
#include "endpoint/when.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TAKEN_MOST = 8 };

struct taken {
    struct line_reader *reader;
    struct news *news[TAKEN_MOST]; /* copies */
    size_t count;
};

static void take(void *context, const struct news *news) {
    struct taken *taken = context;
    struct news *copy = news_copy(news);
    assert_non_null(copy);
    if (taken->count < TAKEN_MOST)
        taken->news[taken->count++] = copy;
    else
        free(copy);
}

static void taken_drop(struct taken *taken) {
    for (size_t i = 0; i < taken->count; i++) free(taken->news[i]);
    taken->count = 0;
}

static int set_up(void **state) {
    struct taken *taken = calloc(1, sizeof *taken);
    taken->reader = calloc(1, sizeof *taken->reader);
    taken->reader->context = taken;
    taken->reader->take = take;
    *state = taken;
    return 0;
}

static int tear_down(void **state) {
    struct taken *taken = *state;
    taken_drop(taken);
    free(taken->reader);
    free(taken);
    return 0;
}

/* On the heap, without a zero behind it: reading too far is seen. */
static enum line_outcome read_bytes(struct taken *taken, const char *text, size_t length) {
    char *copy = malloc(length ? length : 1);
    memcpy(copy, text, length);
    enum line_outcome outcome = line_read(taken->reader, copy, length);
    free(copy);
    return outcome;
}

static enum line_outcome read_line(struct taken *taken, const char *text) {
    taken_drop(taken);
    return read_bytes(taken, text, strlen(text));
}

static void assert_text(struct span text, const char *expected) {
    if (!expected) {
        assert_null(text.at);
        return;
    }
    assert_non_null(text.at);
    assert_int_equal(text.length, strlen(expected));
    assert_memory_equal(text.at, expected, text.length);
}

#define TOKEN_9(pid, version)                                                                                \
    "{\"auid\":501,\"euid\":501,\"egid\":20,\"ruid\":502,\"rgid\":20,\"pid\":" #pid                          \
    ",\"asid\":100003,\"pidversion\":" #version "}"
#define TOKEN_10(pid, version) "[501,501,20,502,20," #pid ",100003," #version "]"
#define PROCESS(token, parent, responsible, path)                                                            \
    "{\"audit_token\":" token ",\"parent_audit_token\":" parent ",\"responsible_audit_token\":" responsible  \
    ",\"ppid\":1,\"original_ppid\":640,\"executable\":{\"path\":\"" path                                     \
    "\",\"path_truncated\":false},\"signing_id\":\"com.apple.curl\",\"team_id\":null,"                       \
    "\"cdhash\":\"00AB34CD00AB34CD00AB34CD00AB34CD00AB34CD\",\"is_platform_binary\":true,"                   \
    "\"start_time\":1718270404002000,\"tty\":null}"
#define HEAD(version, type)                                                                                  \
    "{\"schema_version\":1,\"version\":" #version ",\"time\":\"2024-06-13T09:20:04.012000001Z\","            \
    "\"mach_time\":18446744073709551615,\"event_type\":" #type ",\"thread\":null,\"process\":"
#define EXEC(version, token)                                                                                 \
    HEAD(version, 9)                                                                                         \
    PROCESS(token(812, 1910), token(811, 1), token(700, 1), "\\/bin\\/sh")                                   \
    ",\"event\":{\"exec\":{\"target\":" PROCESS(                                                             \
        token(812, 1911), token(811, 1), token(700, 1),                                                      \
        "\\/usr\\/bin\\/curl") ","                                                                           \
                               "\"args\":[\"curl\",\"-s\",\"http:\\/\\/updates.sample.example\\/"            \
                               "\\u00fc\",\"\"],\"env\":[\"A=B\"],"                                          \
                               "\"cwd\":{\"path\":\"\\/Users\\/anna\"},\"script\":null}}}"

static void assert_exec(struct taken *taken) {
    assert_int_equal(taken->count, 1);
    const struct news *news = taken->news[0];
    assert_int_equal(news->action, NEWS_EXEC);
    assert_int_equal(news->source, NEWS_ESLOGGER);
    assert_true(news->time == 1718270404012000001);
    assert_int_equal(news->actor.pid, 812);
    assert_int_equal(news->actor.version, 1910);
    assert_text(news->actor.path, "/bin/sh");
    assert_int_equal(news->image.pid, 812);
    assert_int_equal(news->image.version, 1911);
    assert_int_equal(news->image.parent_pid, 640);
    assert_int_equal(news->image.responsible_pid, 700);
    assert_int_equal(news->image.uid, 501);
    assert_true(news->image.born == 1718270404002000000);
    assert_text(news->image.path, "/usr/bin/curl");
    assert_text(image_name(&news->image), "curl");
    assert_text(news->image.signing_id, "com.apple.curl");
    assert_text(news->image.team_id, NULL);
    assert_text(news->image.cdhash, "00ab34cd00ab34cd00ab34cd00ab34cd00ab34cd");
    assert_string_equal(news->image.platform, "yes");
    assert_text(news->cwd, "/Users/anna");
    static const char arguments[] = "curl\0-s\0http://updates.sample.example/\xc3\xbc\0";
    assert_int_equal(news->arguments.length, sizeof arguments);
    assert_memory_equal(news->arguments.at, arguments, sizeof arguments);
}

static const char exec_9[] = EXEC(9, TOKEN_9), exec_10[] = EXEC(10, TOKEN_10);

static void test_eslogger_exec(void **state) {
    struct taken *taken = *state;
    assert_int_equal(read_line(taken, exec_9), LINE_READ);
    assert_exec(taken);
    assert_int_equal(read_line(taken, exec_10), LINE_READ);
    assert_exec(taken);
}

static const char fork_line[] = HEAD(9, 11)
    PROCESS(TOKEN_9(811, 1901), TOKEN_9(700, 1), "null",
            "\\/bin\\/sh") ",\"event\":{\"fork\":{\"child\":" PROCESS(TOKEN_9(812, 1910), TOKEN_9(811, 1901),
                                                                      "null", "\\/bin\\/sh") "}}}";
static const char exit_line[] =
    HEAD(10, 15) PROCESS(TOKEN_10(812, 1911), TOKEN_10(811, 1901), "null",
                         "\\/usr\\/bin\\/curl") ",\"event\":{\"exit\":{\"stat\":1536}}}";

static void test_eslogger_fork_exit(void **state) {
    struct taken *taken = *state;
    assert_int_equal(read_line(taken, fork_line), LINE_READ);
    assert_int_equal(taken->count, 1);
    assert_int_equal(taken->news[0]->action, NEWS_FORK);
    assert_int_equal(taken->news[0]->actor.pid, 811);
    assert_int_equal(taken->news[0]->image.pid, 812);
    assert_int_equal(taken->news[0]->image.responsible_pid, NEWS_NO_PID);
    assert_int_equal(read_line(taken, exit_line), LINE_READ);
    assert_int_equal(taken->news[0]->action, NEWS_EXIT);
    assert_int_equal(taken->news[0]->exit_status, 6);
    assert_int_equal(taken->news[0]->exit_signal, 0);
}

static void test_eslogger_others(void **state) {
    struct taken *taken = *state;
    assert_int_equal(
        read_line(taken, HEAD(9, 10) PROCESS(TOKEN_9(1, 1), "null", "null", "x") ",\"event\":{\"open\":{}}}"),
        LINE_READ);
    assert_int_equal(taken->count, 0);
    assert_int_equal(taken->reader->others, 1);
    assert_int_equal(
        read_line(taken,
                  "{\"schema_version\":1,\"time\":\"yesterday\",\"process\":{},\"event\":{\"exit\":{}}}"),
        LINE_BROKEN);
    assert_non_null(strstr(taken->reader->why, "time"));
    assert_int_equal(read_line(taken, HEAD(9, 15) "null,\"event\":{\"exit\":{\"stat\":0}}}"), LINE_BROKEN);
}

/* An environment of 1 MiB, as execve() allows. */
static void test_large_environment(void **state) {
    struct taken *taken = *state;
    size_t filler = 1 << 20;
    const char *at = strstr(exec_9, "A=B");
    size_t before = (size_t)(at + 3 - exec_9);
    char *line = malloc(sizeof exec_9 + filler);
    memcpy(line, exec_9, before);
    memset(line + before, 'x', filler);
    strcpy(line + before + filler, at + 3);
    assert_int_equal(read_line(taken, line), LINE_READ);
    assert_exec(taken);
    free(line);
}

static const char log_line_text[] =
    "{\"traceID\":18446744073709551615,\"timestamp\":\"2024-06-13 11:20:04.055000+0200\",\"processID\":310,"
    "\"userID\":65,\"processImagePath\":\"\\/usr\\/sbin\\/mDNSResponder\",\"processImageUUID\":"
    "\"0D1B2C3D-0000-3000-8000-000000000001\",\"source\":null,\"eventMessage\":\"[R9] DNSServiceQueryRecord "
    "START "
    "-- qname: <mask.hash: 'x'>, qtype: A, flags: 0x0, interface index: 0, client pid: 812 (curl)\"}";

static void test_unified_log(void **state) {
    struct taken *taken = *state;
    assert_int_equal(read_line(taken, "Filtering the log data using \"process == 1\""), LINE_READ);
    assert_int_equal(read_line(taken, "{\"count\":12,\"finished\":1}"), LINE_READ);
    assert_int_equal(taken->count, 0);
    assert_int_equal(read_line(taken, log_line_text), LINE_READ);
    assert_int_equal(taken->count, 2);
    assert_int_equal(taken->news[0]->action, NEWS_SEEN);
    assert_int_equal(taken->news[0]->source, NEWS_LOG);
    assert_int_equal(taken->news[0]->actor.pid, 310);
    assert_text(taken->news[0]->actor.path, "/usr/sbin/mDNSResponder");
    assert_text(taken->news[0]->uuid, "0D1B2C3D-0000-3000-8000-000000000001");
    assert_true(taken->news[0]->time == 1718270404055000000);
    assert_int_equal(taken->news[1]->actor.pid, 812);
    assert_text(taken->news[1]->actor.name, "curl");
    assert_text(taken->news[1]->actor.path, NULL);
}

#define OSQUERY(columns)                                                                                     \
    "{\"name\":\"pack_x_y\",\"hostIdentifier\":\"annas-mac\",\"unixTime\":\"1718270405\",\"action\":"        \
    "\"added\"," columns "}"
static const char osquery_exec[] = OSQUERY(
    "\"columns\":{\"event_type\":\"exec\",\"pid\":\"812\",\"path\":\"\\/usr\\/bin\\/"
    "curl\",\"parent\":\"811\","
    "\"original_parent\":\"640\",\"cmdline\":\"curl -s x\",\"cwd\":\"\\/tmp\",\"uid\":\"501\",\"euid\":\"0\","
    "\"username\":\"anna\",\"signing_id\":\"com.apple.curl\",\"team_id\":\"\",\"platform_binary\":\"1\","
    "\"time\":\"1718270404\",\"eid\":\"1\"}");
static const char osquery_sockets[] =
    "{\"name\":\"s\",\"hostIdentifier\":\"annas-mac\",\"unixTime\":1718270405,\"diffResults\":{\"removed\":"
    "[{\"pid\":\"9\",\"family\":\"2\",\"protocol\":\"6\",\"local_address\":\"10.0.0.1\",\"local_port\":\"1\","
    "\"remote_address\":\"10.0.0.2\",\"remote_port\":\"2\"}],"
    "\"added\":[{\"pid\":812,\"path\":\"\\/usr\\/bin\\/"
    "curl\",\"family\":30,\"protocol\":6,\"local_address\":\"fd00::1\",\"local_port\":50102,"
    "\"remote_address\":\"2001:db8::1\",\"remote_port\":443,\"unknown\":null}]}}";

static void test_osquery(void **state) {
    struct taken *taken = *state;
    assert_int_equal(read_line(taken, osquery_exec), LINE_READ);
    assert_int_equal(taken->count, 1);
    const struct news *news = taken->news[0];
    assert_int_equal(news->action, NEWS_EXEC);
    assert_true(news->time == 1718270404LL * NS_PER_SECOND);
    assert_int_equal(news->image.pid, 812);
    assert_int_equal(news->image.parent_pid, 640);
    assert_int_equal(news->image.uid, 0);
    assert_text(news->image.team_id, NULL);
    assert_text(news->username, "anna");
    assert_text(news->host, "annas-mac");
    assert_int_equal(news->arguments.length, 10);
    assert_memory_equal(news->arguments.at, "curl -s x", 10);
    assert_int_equal(read_line(taken, OSQUERY("\"columns\":{\"event_type\":\"exit\",\"pid\":\"812\",\"path\":"
                                              "\"x\",\"exit_code\":\"9\",\"time\":\"1718270409\"}")),
                     LINE_READ);
    assert_int_equal(taken->news[0]->action, NEWS_EXIT);
    assert_int_equal(taken->news[0]->exit_signal, 9);
    assert_int_equal(read_line(taken, osquery_sockets), LINE_READ);
    assert_int_equal(taken->count, 2);
    assert_int_equal(taken->news[0]->action, NEWS_CLOSED);
    assert_int_equal(taken->news[1]->action, NEWS_SOCKET);
    assert_int_equal(taken->news[1]->socket.local_port, 50102);
    assert_int_equal(taken->news[1]->socket.remote_port, 443);
    assert_int_equal(taken->news[1]->socket.proto, 6);
    struct ip remote;
    ip_parse("2001:db8::1", &remote);
    assert_true(ip_equals(&remote, &taken->news[1]->socket.remote));
    /* Rows of other tables are fine and tell nothing. */
    assert_int_equal(read_line(taken, OSQUERY("\"snapshot\":[{\"name\":\"Safari\",\"version\":\"17\"}]")),
                     LINE_READ);
    assert_int_equal(taken->count, 0);
}

static const char santa_exec[] =
    "[2024-06-13T09:20:04.012Z] I santad: "
    "action=EXEC|decision=ALLOW|reason=BINARY|sha256=00|pid=812|pidversion=1911|ppid=811|uid=501|"
    "user=anna|gid=20|group=staff|mode=M|path=/usr/bin/curl|args=/usr/bin/curl -s a<pipe>b\\nc|machineid=M1";
static const char santa_exec_2018[] =
    "[2018-06-13T09:20:04.012Z] I santad: "
    "action=EXEC|path=/usr/bin/curl|args=curl|decision=ALLOW|pid=812|ppid=811|uid=0|user=root";

static void test_santa(void **state) {
    struct taken *taken = *state;
    assert_int_equal(read_line(taken, santa_exec), LINE_READ);
    assert_int_equal(taken->count, 1);
    const struct news *news = taken->news[0];
    assert_int_equal(news->action, NEWS_EXEC);
    assert_int_equal(news->image.pid, 812);
    assert_int_equal(news->image.version, 1911);
    assert_int_equal(news->image.parent_pid, 811);
    assert_text(news->image.path, "/usr/bin/curl");
    assert_text(news->host, "M1");
    assert_memory_equal(news->arguments.at, "/usr/bin/curl -s a|b\nc", 23);
    assert_int_equal(read_line(taken, santa_exec_2018), LINE_READ);
    assert_text(taken->news[0]->image.path, "/usr/bin/curl");
    assert_int_equal(taken->news[0]->image.uid, 0);
    assert_int_equal(
        read_line(
            taken,
            "[2024-06-13T09:20:04.011Z] I santad: action=FORK|pid=812|pidversion=1910|ppid=811|uid=501"),
        LINE_READ);
    assert_int_equal(taken->news[0]->action, NEWS_FORK);
    assert_int_equal(taken->news[0]->actor.pid, 811);
    assert_int_equal(taken->news[0]->image.pid, 812);
    assert_int_equal(
        read_line(
            taken,
            "[2024-06-13T09:20:05.011Z] I santad: action=EXIT|pid=812|pidversion=1911|ppid=811|uid=501"),
        LINE_READ);
    assert_int_equal(taken->news[0]->action, NEWS_EXIT);
    assert_int_equal(taken->news[0]->actor.pid, 812);
    /* What was denied never ran; files are none of ours. */
    assert_int_equal(
        read_line(taken,
                  "[2024-06-13T09:20:04.012Z] I santad: action=EXEC|decision=DENY|pid=9|ppid=1|path=/x"),
        LINE_READ);
    assert_int_equal(read_line(taken, "[2024-06-13T09:20:04.012Z] I santad: action=WRITE|path=/x|pid=9"),
                     LINE_READ);
    assert_int_equal(taken->count, 0);
}

static const char santa_json[] =
    "{\"event_time\":\"2024-06-13T09:20:04.012Z\",\"machine_id\":\"M1\",\"execution\":{\"instigator\":{"
    "\"id\":{\"pid\":812,\"pidversion\":1910},"
    "\"parent_id\":{\"pid\":811},\"original_parent_pid\":811,\"executable\":{\"path\":\"/bin/"
    "sh\"}},\"target\":{\"id\":{\"pid\":812,\"pidversion\":1911},"
    "\"parent_id\":{\"pid\":811},\"original_parent_pid\":811,\"responsible_id\":{\"pid\":700},\"effective_"
    "user\":{\"uid\":-2,\"name\":\"nobody\"},"
    "\"is_platform_binary\":true,\"code_signature\":{\"cdhash\":\"QUFB\",\"signing_id\":\"com.apple.curl\"},"
    "\"executable\":{\"path\":\"/usr/bin/curl\"}},"
    "\"args\":[\"Y3VybA==\",\"LXM=\"],\"decision\":\"DECISION_ALLOW\"}}";

static void test_santa_json(void **state) {
    struct taken *taken = *state;
    assert_int_equal(read_line(taken, santa_json), LINE_READ);
    assert_int_equal(taken->count, 1);
    const struct news *news = taken->news[0];
    assert_int_equal(news->action, NEWS_EXEC);
    assert_text(news->image.path, "/usr/bin/curl");
    assert_text(news->image.cdhash, "414141"); /* "AAA" */
    assert_int_equal(news->image.uid, 4294967294u);
    assert_int_equal(news->image.responsible_pid, 700);
    assert_text(news->username, "nobody");
    assert_int_equal(news->arguments.length, 8);
    assert_memory_equal(news->arguments.at, "curl\0-s\0", 8);
}

static void test_unknown(void **state) {
    struct taken *taken = *state;
    assert_int_equal(read_line(taken, ""), LINE_EMPTY);
    assert_int_equal(read_line(taken, "  \r"), LINE_EMPTY);
    assert_int_equal(read_line(taken, "{\"a\":1}"), LINE_UNKNOWN);
    assert_int_equal(read_line(taken, "Jun 13 09:20:04 mac sshd[1]: hello"), LINE_UNKNOWN);
    assert_int_equal(read_line(taken, "{\"a\":"), LINE_BROKEN);
    assert_int_equal(read_line(taken, "[]"), LINE_BROKEN);
}

static void assert_when(const char *text, nanoseconds expected) {
    nanoseconds time = 0;
    bool read = when_read(text, strlen(text), &time);
    assert_int_equal(read, expected != 0);
    if (read) assert_true(time == expected);
}

/* Expected values are those of date(1). */
static void test_times(void **state) {
    (void)state;
    assert_when("2024-06-13T09:20:04Z", 1718270404000000000);
    assert_when("2024-06-13T09:20:04.5Z", 1718270404500000000);
    assert_when("2024-06-13 11:20:04.055000+0200", 1718270404055000000);
    assert_when("2024-06-13T04:50:04-04:30", 1718270404000000000);
    assert_when("2024-02-29T00:00:00Z", 1709164800000000000);
    assert_when("2024-13-01T00:00:00Z", 0);
    assert_when("2024-06-13T09:20", 0);
    assert_when("2024-06-13T09:20:04Zebra", 0);
    assert_when("1618-06-13T09:20:04Z", 0);
}

/* ------------------------------------------------------------ spoilt lines */

static uint64_t random_next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static size_t spoil(char *line, size_t length, uint64_t *seed) {
    static const char bytes[] = "\"\\{}[]:,0-9eE.\xff\xc3|=\n null";
    for (uint64_t times = 1 + random_next(seed) % 4; times > 0 && length > 2; times--) {
        size_t at = random_next(seed) % length, span = 1 + random_next(seed) % 24;
        if (span > length - at) span = length - at;
        switch (random_next(seed) % 4) {
        case 0: /* another byte */
            line[at] = bytes[random_next(seed) % (sizeof bytes - 1)];
            break;
        case 1: /* a piece is missing */
            memmove(line + at, line + at + span, length - at - span);
            length -= span;
            break;
        case 2: /* a piece from elsewhere */
            memmove(line + at, line + random_next(seed) % (length - span + 1), span);
            break;
        default: /* it ends here */
            if (random_next(seed) % 4 == 0) length = at;
        }
    }
    return length;
}

static void test_spoilt_lines(void **state) {
    static const char *const lines[] = {exec_9,        exec_10,        fork_line,       exit_line,
                                        log_line_text, osquery_exec,   osquery_sockets, santa_exec,
                                        santa_json,    santa_exec_2018};
    struct taken *taken = *state;
    uint64_t seed = 88172645463325252u;
    char line[8192];
    for (int i = 0; i < 40000; i++) {
        const char *from = lines[i % (sizeof lines / sizeof lines[0])];
        size_t length = strlen(from);
        memcpy(line, from, length);
        length = spoil(line, length, &seed);
        taken_drop(taken);
        enum line_outcome outcome = read_bytes(taken, line, length);
        assert_in_range(outcome, LINE_READ, LINE_BROKEN);
        for (size_t j = 0; j < taken->count; j++) assert_true(taken->news[j]->time >= 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_eslogger_exec, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_eslogger_fork_exit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_eslogger_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large_environment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unified_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_osquery, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_santa, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_santa_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown, set_up, tear_down),
        cmocka_unit_test(test_times),
        cmocka_unit_test_setup_teardown(test_spoilt_lines, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
