/* Receivers behind sockets: whatever happens to the other side, what the spool holds arrives whole and in
 * order, and whoever writes never waits. */
#include "receive.h"

#include "output/spool.h"

enum {
    MIB = 1024 * 1024,
    MIDWAY = 7 * MIB / 2, /* what a slow connection and half a queue of 4 MiB may hold */
};

static char word[256];
static char socket_path[128];

static const char *unix_word(void) {
    snprintf(socket_path, sizeof socket_path, "%s", in_folder("socket"));
    snprintf(word, sizeof word, "unix:%s", socket_path);
    return word;
}

static struct receiver_options with_spool(uint64_t queue, uint64_t bytes) {
    return (struct receiver_options){
        .live = true,
        .spool_folder = in_folder("spool"),
        .queue_bytes = queue,
        .spool_bytes = bytes,
    };
}

/* Bytes in the spool's parts. */
static uint64_t on_disk(const char *path) {
    uint64_t bytes = 0;
    DIR *listing = opendir(path);
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
        char inner[512];
        struct stat status;
        if (entry->d_name[0] == '.') continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (stat(inner, &status) != 0) continue;
        if (S_ISDIR(status.st_mode)) bytes += on_disk(inner);
        if (S_ISREG(status.st_mode) && strstr(entry->d_name, ".part")) bytes += (uint64_t)status.st_size;
    }
    if (listing) closedir(listing);
    return bytes;
}

/* Many times what the queue holds, no faster than the disk takes it: all but `rest` bytes. */
static void fill_spool(struct receiver *r, int count, uint64_t rest) {
    for (int i = 0; i < count; i += 1000) {
        write_lines(r, i, 1000);
        wait_until(on_disk(in_folder("spool")) + rest >= (uint64_t)(i + 1000) * LINE);
    }
    assert_int_equal(figures_of(r).lost, 0);
}

static void lines_arrive(void **state) {
    (void)state;
    struct receiver *r = open_receiver(unix_word(), (struct receiver_options){.live = true});
    int listener = listen_unix(socket_path);
    receiver_rotate(r); /* try now */
    trickle_lines(r, 0, 1000);
    int fd = accept_one(listener);
    struct buffer in = {0};
    read_more(fd, &in, 1000 * LINE);
    expect_lines(&in, 0, 1000);
    wait_until(figures_of(r).lines == 1000);
    assert_true(figures_of(r).healthy);
    assert_int_equal(figures_of(r).bytes, 1000 * LINE);
    assert_int_equal(receiver_close(r, GIVE_UP_SECONDS, NULL), 0);
    close(fd);
    close(listener);
    buffer_free(&in);
}

static void nobody_there_means_the_spool(void **state) {
    (void)state;
    struct receiver *r = open_receiver(unix_word(), with_spool(1 * MIB, 64 * MIB));
    fill_spool(r, 100000, 0); /* 10 MB through a queue of 1 */
    wait_until(figures_of(r).spooled == 100000 * LINE);
    assert_false(figures_of(r).healthy);
    int listener = listen_unix(socket_path);
    receiver_rotate(r);
    int fd = accept_one(listener);
    struct buffer in = {0};
    read_more(fd, &in, 100000 * LINE);
    expect_lines(&in, 0, 100000);
    wait_until(figures_of(r).spooled == 0);
    write_lines(r, 100000, 10); /* past the spool again */
    read_more(fd, &in, 10 * LINE);
    expect_lines(&in, 0, 100010);
    assert_int_equal(receiver_close(r, GIVE_UP_SECONDS, NULL), 0);
    close(fd);
    close(listener);
    buffer_free(&in);
}

static void a_slow_receiver_stops_nobody(void **state) {
    (void)state;
    int listener = listen_unix((unix_word(), socket_path));
    struct receiver *r = open_receiver(word, with_spool(4 * MIB, 64 * MIB));
    int fd = accept_one(listener);
    fill_spool(r, 200000, MIDWAY); /* 20 MB, and nobody reads a byte */
    assert_true(figures_of(r).spooled > 12 * MIB);
    struct buffer in = {0};
    read_more(fd, &in, 200000 * LINE);
    expect_lines(&in, 0, 200000);
    assert_int_equal(receiver_close(r, GIVE_UP_SECONDS, NULL), 0);
    close(fd);
    close(listener);
    buffer_free(&in);
}

/* Reads portions of odd lengths over many connections. What a connection gave is followed, on the next one,
 * by the beginning of a line that had not been read to its end, or one before it; none is left out. */
static void read_in_bits(int listener, struct receiver *r, int total) {
    struct buffer in = {0};
    unsigned seed = 12345;
    uint64_t known = 0;
    int next = 0, connections = 0, again = 0;
    while (next < total) {
        int fd = accept_one(listener);
        in.length = 0;
        seed = seed * 1103515245u + 12345u;
        if (total - next > 5000) {
            read_more(fd, &in, 1 + (seed >> 8) % 300000);
        } else {
            do read_more(fd, &in, LINE);
            while (line_number(&in, in.length - LINE) != total - 1);
        }
        /* A portion that is large enough is noticed: were it never, the same lines would come again for ever.
         */
        if (in.length > 100000) wait_until(figures_of(r).lines > known);
        known = figures_of(r).lines;
        close(fd);
        connections++;
        for (size_t at = 0; at + LINE <= in.length; at += LINE) {
            int number = line_number(&in, at);
            assert_true(number <= next); /* nothing was left out */
            if (at == 0) again += next - number;
            if (at) assert_int_equal(number, line_number(&in, at - LINE) + 1);
            if (number == next) next++;
        }
        receiver_rotate(r); /* at once rather than in half a second */
    }
    assert_true(connections > 3);
    print_message("%d connections, %d lines came again\n", connections, again);
    buffer_free(&in);
}

static void a_receiver_that_dies_again_and_again_misses_nothing(void **state) {
    (void)state;
    int listener = listen_unix((unix_word(), socket_path));
    struct receiver *r = open_receiver(word, with_spool(4 * MIB, 64 * MIB));
    fill_spool(r, 60000, MIDWAY); /* the first connection waits to be accepted */
    read_in_bits(listener, r, 60000);
    receiver_close(r, 0, NULL);
    close(listener);
}

static void a_connection_that_is_reset_misses_nothing_either(void **state) {
    (void)state;
    uint16_t port = 0;
    int listener = listen_tcp(&port);
    snprintf(word, sizeof word, "tcp:localhost:%u", port);
    int small = 4096;
    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    struct receiver *r = open_receiver(word, with_spool(1 * MIB, 64 * MIB));
    trickle_lines(r, 0, 5000);
    int fd = accept_one(listener);
    struct buffer in = {0};
    read_more(fd, &in, 1000 * LINE + 17);
    int taken = line_number(&in, 999 * LINE) + 1;
    assert_int_equal(taken, 1000);
    close(fd); /* with bytes unread: the kernel resets */
    receiver_rotate(r);
    fd = accept_one(listener);
    in.length = 0;
    write_lines(r, 5000, 1);
    read_more(fd, &in, LINE);
    int first = line_number(&in, 0);
    /* TCP cannot tell what the dead one's kernel had taken: at most its receive buffer is missing. */
    assert_true(first >= 0 && first <= 5000);
    read_more(fd, &in, (size_t)(5001 - first - 1) * LINE);
    expect_lines(&in, first, 5001 - first);
    receiver_close(r, 0, NULL);
    close(fd);
    close(listener);
    buffer_free(&in);
}

static void a_full_spool_refuses_the_newest(void **state) {
    (void)state;
    struct receiver *r = open_receiver(unix_word(), with_spool(64 * 1024, 256 * 1024));
    wait_until(!figures_of(r).healthy);
    trickle_lines(r, 0, 50000);
    uint64_t lost = figures_of(r).lost;
    assert_true(lost > 0);
    assert_true(figures_of(r).spooled <= 256 * 1024 + 64 * 1024 + 2 * MIB);
    int listener = listen_unix(socket_path);
    receiver_rotate(r);
    int fd = accept_one(listener);
    struct buffer in = {0};
    read_more(fd, &in, (size_t)(50000 - lost) * LINE);
    assert_int_equal((uint64_t)expect_some(&in) + lost, 50000);
    assert_int_equal(line_number(&in, 0), 0); /* the oldest stayed */
    assert_int_equal(receiver_close(r, GIVE_UP_SECONDS, NULL), -1);
    close(fd);
    close(listener);
    buffer_free(&in);
}

static void without_a_spool_memory_is_the_bound(void **state) {
    (void)state;
    struct receiver *r =
        open_receiver(unix_word(), (struct receiver_options){.live = true, .queue_bytes = 50 * LINE});
    wait_until(!figures_of(r).healthy);
    trickle_lines(r, 0, 200);
    assert_int_equal(figures_of(r).lost, 150);
    assert_int_equal(figures_of(r).spooled, 50 * LINE);
    struct error err;
    assert_int_equal(receiver_close(r, 0, &err), -1);
    assert_non_null(strstr(err.text, "200 lines"));
}

static void what_was_left_over_is_sent_first(void **state) {
    (void)state;
    struct receiver *r = open_receiver(unix_word(), with_spool(1 * MIB, 64 * MIB));
    trickle_lines(r, 0, 3000);
    assert_int_equal(receiver_close(r, 0, NULL), 0); /* nobody there: all of it stays on disk */
    r = open_receiver(word, with_spool(1 * MIB, 64 * MIB));
    assert_int_equal(figures_of(r).spooled, 3000 * LINE);
    trickle_lines(r, 3000, 100);
    assert_int_equal(receiver_close(r, 0, NULL), 0);
    int listener = listen_unix(socket_path);
    r = open_receiver(word, with_spool(1 * MIB, 64 * MIB));
    trickle_lines(r, 3100, 100);
    int fd = accept_one(listener);
    struct buffer in = {0};
    read_more(fd, &in, 1500 * LINE + 50); /* and it ends in the middle again */
    assert_int_equal(receiver_close(r, 0, NULL), 0);
    r = open_receiver(word, with_spool(1 * MIB, 64 * MIB));
    close(fd);
    fd = accept_one(listener);
    size_t seam = in.length = in.length / LINE * LINE;
    trickle_lines(r, 3200, 100);
    read_more(fd, &in, LINE);
    int first = line_number(&in, seam);
    assert_true(first <= 1500);
    in.length = 0;
    put_lines(&in, first, 1); /* it has been read */
    read_more(fd, &in, (size_t)(3300 - first - 1) * LINE);
    expect_lines(&in, first, 3300 - first);
    assert_int_equal(receiver_close(r, GIVE_UP_SECONDS, NULL), 0);
    close(fd);
    close(listener);
    buffer_free(&in);
}

static void two_programs_do_not_share_a_spool(void **state) {
    (void)state;
    struct error err;
    struct receiver *r = open_receiver(unix_word(), with_spool(MIB, MIB));
    struct receiver_options options = with_spool(MIB, MIB);
    assert_null(receiver_open(word, &options, &err));
    assert_non_null(strstr(err.text, "another lunette"));
    receiver_close(r, 0, NULL);
}

/* ── the spool by itself ─────────────────────────────────────────── */

static struct spool *open_spool(uint64_t most) {
    struct error err = {.text = ""};
    struct spool *s = spool_open(in_folder("spool"), "unix:/x", FRAMING_LINES, most, &err);
    if (!s) fail_msg("%s", err.text);
    return s;
}

static void spool_lines(struct spool *s, int from, int count) {
    struct buffer b = {0};
    int failure;
    put_lines(&b, from, count);
    assert_int_equal(spool_append(s, b.at, b.length, &failure), b.length);
    buffer_free(&b);
}

static void what_was_read_and_not_taken_comes_again(void **state) {
    (void)state;
    struct spool *s = open_spool(8 * MIB); /* parts of 1 MiB */
    struct buffer in = {0};
    spool_lines(s, 0, 30000);
    while (!spool_is_read_out(s)) spool_read(s, &in, 70000);
    expect_lines(&in, 0, 30000);
    spool_taken(s, 12345 * LINE);
    spool_rewind(s);
    in.length = 0;
    while (spool_read(s, &in, 70000)) continue;
    expect_lines(&in, 12345, 30000 - 12345);
    spool_free(s); /* a crash is no different: nothing is written at the end */
    s = open_spool(8 * MIB);
    struct buffer front = {0};
    in.length = 0;
    put_lines(&front, 100, 5);
    assert_false(spool_prepend(s, front.at, front.length)); /* not into a part that is half gone */
    while (spool_read(s, &in, 70000)) continue;
    expect_lines(&in, 12345, 30000 - 12345);
    spool_taken(s, in.length);
    assert_true(spool_is_empty(s));
    assert_int_equal(spool_bytes(s), 0);
    spool_lines(s, 105, 10);
    assert_true(spool_prepend(s, front.at, front.length));
    in.length = 0;
    while (spool_read(s, &in, 70000)) continue;
    expect_lines(&in, 100, 15);
    spool_free(s);
    buffer_free(&in);
    buffer_free(&front);
}

static void a_record_that_a_crash_cut_short_is_left_out(void **state) {
    (void)state;
    struct spool *s = open_spool(8 * MIB);
    spool_lines(s, 0, 10);
    spool_free(s);
    char inner[256];
    snprintf(inner, sizeof inner, "%s", in_folder("spool/unix--x-"));
    DIR *listing = opendir(in_folder("spool"));
    for (struct dirent *entry; (entry = readdir(listing));)
        if (entry->d_name[0] == 'u')
            snprintf(inner, sizeof inner, "%s/%.64s/%016llx.part", in_folder("spool"), entry->d_name,
                     1ull << 32);
    closedir(listing);
    assert_int_equal(truncate(inner, 10 * LINE - 30), 0);
    s = open_spool(8 * MIB);
    spool_lines(s, 10, 5);
    struct buffer in = {0};
    while (spool_read(s, &in, 70000)) continue;
    assert_int_equal(expect_some(&in), 14);
    assert_int_equal(line_number(&in, 9 * LINE), 10);
    spool_taken(s, in.length);
    assert_true(spool_is_empty(s));
    spool_free(s);
    buffer_free(&in);
}

static void a_disk_without_room_keeps_what_it_has(void **state) {
    (void)state;
    struct spool *s = open_spool(8 * MIB);
    struct rlimit before, now;
    getrlimit(RLIMIT_FSIZE, &before);
    now = before;
    now.rlim_cur = 20 * LINE + 33;
    spool_lines(s, 0, 15);
    setrlimit(RLIMIT_FSIZE, &now);
    struct buffer b = {0}, in = {0};
    int failure;
    put_lines(&b, 15, 10);
    assert_int_equal(spool_append(s, b.at, b.length, &failure), 0);
    assert_int_equal(failure, EFBIG);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(spool_append(s, b.at, b.length, &failure), b.length);
    while (spool_read(s, &in, 70000)) continue;
    expect_lines(&in, 0, 25);
    spool_free(s);
    buffer_free(&b);
    buffer_free(&in);
}

#define each(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void) {
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        each(lines_arrive),
        each(nobody_there_means_the_spool),
        each(a_slow_receiver_stops_nobody),
        each(a_receiver_that_dies_again_and_again_misses_nothing),
        each(a_connection_that_is_reset_misses_nothing_either),
        each(a_full_spool_refuses_the_newest),
        each(without_a_spool_memory_is_the_bound),
        each(what_was_left_over_is_sent_first),
        each(two_programs_do_not_share_a_spool),
        each(what_was_read_and_not_taken_comes_again),
        each(a_record_that_a_crash_cut_short_is_left_out),
        each(a_disk_without_room_keeps_what_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
