/* The writer: nothing lost, whole lines, packet-time order over several threads, and sinks that fail. */
#include "output/writer.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static int temporary_file(void) {
    char path[] = "/tmp/lunette-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    return fd;
}

static char *whole_file(int fd, size_t *length) {
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = malloc((size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(pread(fd, text, (size_t)size, 0), size);
    text[size] = '\0';
    *length = (size_t)size;
    return text;
}

static void expect_file(int fd, const char *wanted) {
    size_t length;
    char *text = whole_file(fd, &length);
    assert_string_equal(text, wanted);
    free(text);
}

static struct writer *open_writer(int fd, int terminal, uint32_t streams) {
    struct error err;
    const struct sink sinks[] = {{.fd = fd, .name = "the file"},
                                 {.fd = terminal, .name = "the terminal", .prompt = true}};
    struct writer *w = writer_open(sinks, 2, streams, &err);
    assert_non_null(w);
    return w;
}

static void put(struct record_stream *s, uint32_t sink, struct line_key key, const char *line) {
    struct buffer *b = record_begin(s, sink);
    if (!b) return;
    buffer_string(b, line);
    record_commit(s, key);
}

static void lines_come_out_as_they_went_in(void **state) {
    (void)state;
    int fd = temporary_file(), terminal = temporary_file();
    struct writer *w = open_writer(fd, terminal, 1);
    struct record_stream *s = writer_stream(w, 0);
    put(s, 0, (struct line_key){.clock = 1}, "a\n");
    put(s, 1, (struct line_key){.clock = 1}, "ALERT\n\n");
    put(s, 0, (struct line_key){.clock = 2}, "b\n");
    assert_non_null(record_begin(s, 0));
    record_cancel(s);
    record_stream_watermark(s, 2);
    put(s, 0, (struct line_key){.clock = 3}, "c\n");
    assert_int_equal(writer_close(w, NULL), 0);
    expect_file(fd, "a\nb\nc\n");
    expect_file(terminal, "ALERT\n\n");
    close(fd);
    close(terminal);
}

/* Detectors drink a batch one after the other: the lines are sorted by what they belong to. */
static void within_a_batch_lines_are_put_in_order(void **state) {
    (void)state;
    int fd = temporary_file();
    struct writer *w = open_writer(fd, -1, 1);
    struct record_stream *s = writer_stream(w, 0);
    put(s, 0, (struct line_key){10, 1, 0}, "event 1\n");
    put(s, 0, (struct line_key){10, 2, 0}, "event 2\n");
    put(s, 0, (struct line_key){20, 3, 0}, "event 3\n");
    put(s, 0, (struct line_key){20, 3, 1}, "first detector on 3\n");
    put(s, 0, (struct line_key){10, 1, 2}, "second detector on 1\n");
    put(s, 0, (struct line_key){10, 1, 2}, "second detector on 1 again\n");
    assert_null(record_begin(s, 1)); /* a sink that is shut */
    record_stream_watermark(s, 20);
    assert_int_equal(writer_close(w, NULL), 0);
    expect_file(fd, "event 1\nsecond detector on 1\nsecond detector on 1 again\nevent 2\nevent 3\n"
                    "first detector on 3\n");
    close(fd);
}

static void streams_are_merged_by_clock_then_worker(void **state) {
    (void)state;
    int fd = temporary_file();
    struct writer *w = open_writer(fd, -1, 3);
    put(writer_stream(w, 2), 0, (struct line_key){.clock = 1}, "2 at 1\n");
    put(writer_stream(w, 2), 0, (struct line_key){.clock = 5}, "2 at 5\n");
    record_stream_close(writer_stream(w, 2));
    put(writer_stream(w, 1), 0, (struct line_key){.clock = 1}, "1 at 1\n");
    record_stream_flush(writer_stream(w, 1));
    put(writer_stream(w, 1), 0, (struct line_key){.clock = 5}, "1 at 5\n");
    put(writer_stream(w, 0), 0, (struct line_key){.clock = 3}, "0 at 3\n");
    put(writer_stream(w, 0), 0, (struct line_key){.clock = 5}, "0 at 5\n");
    put(writer_stream(w, 0), 0, (struct line_key){.clock = 9}, "0 at 9\n");
    assert_int_equal(writer_close(w, NULL), 0);
    expect_file(fd, "1 at 1\n2 at 1\n0 at 3\n0 at 5\n1 at 5\n2 at 5\n0 at 9\n");
    close(fd);
}

/* ── under threads ───────────────────────────────────────────────── */

enum { PRODUCERS = 3, LINES = 60000 };

struct producer {
    struct writer *writer;
    uint32_t number;
    uint32_t lines;
};

/* The first writes much, the second little, the third next to nothing, all over the same stretch of time.
 * Every line has its clock, worker and number, and a tail that makes the lines differ in length. */
static void *produce(void *context) {
    struct producer *p = context;
    struct record_stream *s = writer_stream(p->writer, p->number);
    static const uint32_t every[PRODUCERS] = {1, 7, 20000};
    uint32_t random = p->number + 1;
    for (uint32_t clock = 0; clock < LINES; clock++) {
        random = random * 1664525 + 1013904223;
        if (clock % every[p->number] == 0) {
            char line[256], tail[128];
            memset(tail, 'x', sizeof tail);
            snprintf(line, sizeof line, "%u %u %u %.*s\n", clock, p->number, p->lines, (int)(random >> 25),
                     tail);
            put(s, 0, (struct line_key){.clock = clock, .seq = p->lines++}, line);
            if (clock % 1000 == 0) put(s, 1, (struct line_key){.clock = clock}, "!\n");
        }
        if (clock % 64 == 63) record_stream_watermark(s, clock);
    }
    record_stream_close(s);
    return NULL;
}

static void check_merged(const char *text, uint32_t lines) {
    uint32_t last_clock = 0, last_worker = 0, next[PRODUCERS] = {0}, count = 0;
    while (*text) {
        char *rest; /* sscanf would measure the whole text for each line */
        uint32_t clock = (uint32_t)strtoul(text, &rest, 10), worker = (uint32_t)strtoul(rest, &rest, 10);
        uint32_t number = (uint32_t)strtoul(rest, &rest, 10);
        assert_true(*rest == ' ' && worker < PRODUCERS);
        assert_true(clock > last_clock || (clock == last_clock && worker >= last_worker));
        assert_int_equal(number, next[worker]++);
        last_clock = clock;
        last_worker = worker;
        count++;
        text = strchr(text, '\n') + 1;
    }
    assert_int_equal(count, lines);
}

static void three_producers_lose_nothing_and_come_in_order(void **state) {
    (void)state;
    for (int round = 0; round < 5; round++) {
        int fd = temporary_file(), terminal = temporary_file();
        struct producer producers[PRODUCERS];
        pthread_t threads[PRODUCERS];
        struct writer *w = open_writer(fd, terminal, PRODUCERS);
        for (uint32_t i = 0; i < PRODUCERS; i++) {
            producers[i] = (struct producer){.writer = w, .number = i};
            assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
        }
        uint32_t lines = 0;
        for (uint32_t i = 0; i < PRODUCERS; i++) {
            pthread_join(threads[i], NULL);
            lines += producers[i].lines;
        }
        assert_int_equal(writer_close(w, NULL), 0);
        size_t length;
        char *text = whole_file(fd, &length);
        check_merged(text, lines);
        free(text);
        close(fd);
        close(terminal);
    }
}

/* All flows that are open at the end of a capture are recorded at its last clock, more than the queue holds.
 * A worker that is done but has the statistics to write must not keep them waiting. */
static void a_worker_at_its_end_holds_nobody_back(void **state) {
    (void)state;
    int fd = temporary_file();
    struct writer *w = open_writer(fd, -1, 2);
    struct record_stream *first = writer_stream(w, 0), *second = writer_stream(w, 1);
    enum { WIDE = 100000, MANY = 300 };
    static char line[WIDE + 2];
    memset(line, 'x', WIDE);
    line[WIDE] = '\n';
    put(first, 0, (struct line_key){.clock = 7}, "first\n");
    record_stream_flush(first);
    record_stream_watermark(first, WRITER_END);
    for (int i = 0; i < MANY; i++) {
        put(second, 0, (struct line_key){.clock = 7, .seq = (uint64_t)i}, line);
        record_stream_watermark(second, 7);
    }
    record_stream_close(second);
    put(first, 0, (struct line_key){.clock = 7}, "last\n");
    assert_int_equal(writer_close(w, NULL), 0);
    size_t length;
    char *text = whole_file(fd, &length);
    assert_int_equal(length, 6 + (size_t)MANY * (WIDE + 1) + 5);
    assert_memory_equal(text, "first\n", 6);
    assert_string_equal(text + length - 5, "last\n");
    free(text);
    close(fd);
}

/* A pipe takes a little at a time; what comes out at the other end is whole. */
struct reader {
    int fd;
    char *text;
    size_t length;
};

static void *read_all(void *context) {
    struct reader *r = context;
    r->text = malloc(32 << 20);
    for (ssize_t n; (n = read(r->fd, r->text + r->length, 1999)) > 0;) r->length += (size_t)n;
    r->text[r->length] = '\0';
    return NULL;
}

static void through_pipe(bool blocking) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    if (!blocking) fcntl(ends[1], F_SETFL, O_NONBLOCK);
    struct reader reader = {.fd = ends[0]};
    pthread_t thread;
    pthread_create(&thread, NULL, read_all, &reader);
    struct writer *w = open_writer(ends[1], -1, 1);
    struct producer producer = {.writer = w};
    produce(&producer);
    assert_int_equal(writer_close(w, NULL), 0);
    close(ends[1]);
    pthread_join(thread, NULL);
    check_merged(reader.text, producer.lines);
    free(reader.text);
    close(ends[0]);
}

static void a_pipe_gets_it_all(void **state) {
    (void)state;
    through_pipe(true);
    through_pipe(false);
}

/* ── sinks that fail ─────────────────────────────────────────────── */

static void a_reader_that_goes_away_is_told_once_and_stalls_nobody(void **state) {
    (void)state;
    int ends[2], terminal = temporary_file();
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    struct writer *w = open_writer(ends[1], terminal, 1);
    struct producer producer = {.writer = w};
    produce(&producer); /* more than all queues hold */
    struct error err = {.text = ""};
    assert_int_equal(writer_close(w, &err), -1);
    assert_non_null(strstr(err.text, "the file"));
    assert_string_equal(err.text, "the file was closed");
    size_t length;
    char *text = whole_file(terminal, &length); /* the other sink goes on */
    assert_int_equal(length, 2 * LINES / 1000);
    free(text);
    close(ends[1]);
    close(terminal);
}

static void a_full_disk_is_told(void **state) {
    (void)state;
    int fd = open("/dev/full", O_WRONLY);
    if (fd < 0) skip();
    struct writer *w = open_writer(fd, -1, 1);
    put(writer_stream(w, 0), 0, (struct line_key){.clock = 1}, "a\n");
    struct error err = {.text = ""};
    assert_int_equal(writer_close(w, &err), -1);
    assert_non_null(strstr(err.text, "No space left on device"));
    close(fd);
}

static void files_are_emptied_or_added_to(void **state) {
    (void)state;
    char path[] = "/tmp/lunette-test-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "old\n", 4), 4);
    int again = writer_open_file(path, true, NULL);
    assert_int_equal(write(again, "new\n", 4), 4);
    expect_file(fd, "old\nnew\n");
    close(again);
    close(writer_open_file(path, false, NULL));
    expect_file(fd, "");
    unlink(path);
    close(fd);
    struct error err = {.text = ""};
    assert_int_equal(writer_open_file("/nonexistent/folder/file", false, &err), -1);
    assert_non_null(strstr(err.text, "/nonexistent/folder/file"));
    assert_int_equal(writer_open_file("-", false, &err), STDOUT_FILENO);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_out_as_they_went_in),
        cmocka_unit_test(within_a_batch_lines_are_put_in_order),
        cmocka_unit_test(streams_are_merged_by_clock_then_worker),
        cmocka_unit_test(three_producers_lose_nothing_and_come_in_order),
        cmocka_unit_test(a_worker_at_its_end_holds_nobody_back),
        cmocka_unit_test(a_pipe_gets_it_all),
        cmocka_unit_test(a_reader_that_goes_away_is_told_once_and_stalls_nobody),
        cmocka_unit_test(a_full_disk_is_told),
        cmocka_unit_test(files_are_emptied_or_added_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
