/* For tests of receivers: folders, numbered lines, listeners that read when they are told to. */
#ifndef LUNETTE_TESTS_RECEIVE_H
#define LUNETTE_TESTS_RECEIVE_H

#include "output/buffer.h"
#include "output/receiver.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { LINE = 100, GIVE_UP_SECONDS = 30 };

static char folder[64];

__attribute__((unused)) static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/lunette-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

__attribute__((unused)) static void empty_folder(const char *path) {
    DIR *listing = opendir(path);
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
        char inner[512];
        if (entry->d_name[0] == '.') continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (unlink(inner) != 0) empty_folder(inner);
    }
    if (listing) closedir(listing);
    rmdir(path);
}

__attribute__((unused)) static int remove_folder(void **state) {
    (void)state;
    empty_folder(folder);
    return 0;
}

__attribute__((unused)) static const char *in_folder(const char *name) {
    static char paths[4][256];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, 256, "%s/%s", folder, name);
    return path;
}

/* Lines "000042 ......\n" of LINE bytes. */
__attribute__((unused)) static void put_lines(struct buffer *b, int from, int count) {
    for (int i = from; i < from + count; i++) {
        buffer_format(b, "%06d ", i);
        buffer_fill(b, '.', LINE - 8);
        buffer_char(b, '\n');
    }
}

__attribute__((unused)) static void write_lines(struct receiver *r, int from, int count) {
    struct buffer b = {0};
    put_lines(&b, from, count);
    receiver_write(r, b.at, b.length);
    buffer_free(&b);
}

/* The same in small portions, as a sensor does. */
__attribute__((unused)) static void trickle_lines(struct receiver *r, int from, int count) {
    for (int i = 0; i < count; i += 50) write_lines(r, from + i, count - i < 50 ? count - i : 50);
}

__attribute__((unused)) static struct receiver *open_receiver(const char *word,
                                                              struct receiver_options options) {
    struct error err = {.text = ""};
    struct receiver *r = receiver_open(word, &options, &err);
    if (!r) fail_msg("%s", err.text);
    return r;
}

__attribute__((unused)) static struct receiver_figures figures_of(struct receiver *r) {
    struct receiver_figures figures;
    receiver_figures(r, &figures);
    return figures;
}

/* Waits for a state that is bound to come; the bound is for a test that would hang otherwise. */
#define wait_until(condition)                                                                                \
    do {                                                                                                     \
        time_t begun = time(NULL);                                                                           \
        while (!(condition)) {                                                                               \
            if (time(NULL) - begun > GIVE_UP_SECONDS) fail_msg("never: %s", #condition);                     \
            poll(NULL, 0, 1);                                                                                \
        }                                                                                                    \
    } while (0)

__attribute__((unused)) static int listen_unix(const char *path) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strcpy(to.sun_path, path);
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

/* On a port of the kernel's choice (0) or a given one. */
__attribute__((unused)) static int listen_tcp(uint16_t *port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(*port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(listen(fd, 8), 0);
    socklen_t size = sizeof to;
    getsockname(fd, (struct sockaddr *)&to, &size);
    *port = ntohs(to.sin_port);
    return fd;
}

__attribute__((unused)) static int accept_one(int listener) {
    struct pollfd look = {.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&look, 1, GIVE_UP_SECONDS * 1000), 1);
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    return fd;
}

/* Reads until `wanted` more bytes are in, or to the end. */
__attribute__((unused)) static void read_more(int fd, struct buffer *in, size_t wanted) {
    size_t until = in->length + wanted;
    while (in->length < until) {
        struct pollfd look = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&look, 1, GIVE_UP_SECONDS * 1000), 1);
        size_t most = until - in->length < 65536 ? until - in->length : 65536;
        assert_true(buffer_reserve(in, most));
        ssize_t n = read(fd, in->at + in->length, most);
        if (n <= 0) return;
        in->length += (size_t)n;
    }
}

__attribute__((unused)) static void read_file(const char *path, struct buffer *in) {
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    for (ssize_t n = 1; n > 0; in->length += n > 0 ? (size_t)n : 0) {
        assert_true(buffer_reserve(in, 65536));
        n = read(fd, in->at + in->length, 65536);
    }
    close(fd);
}

/* The number of the line at `at`, which must be whole. */
__attribute__((unused)) static int line_number(const struct buffer *b, size_t at) {
    assert_true(b->length >= at + LINE);
    assert_int_equal(b->at[at + LINE - 1], '\n');
    assert_int_equal(b->at[at + 6], ' ');
    for (size_t i = at + 7; i < at + LINE - 1; i++) assert_int_equal(b->at[i], '.');
    return atoi(b->at + at);
}

/* All of them, in order, once. */
__attribute__((unused)) static void expect_lines(const struct buffer *b, int from, int count) {
    assert_int_equal(b->length, (size_t)count * LINE);
    for (int i = 0; i < count; i++) assert_int_equal(line_number(b, (size_t)i * LINE), from + i);
}

/* Whole lines in order, some missing. Returns how many. */
__attribute__((unused)) static int expect_some(const struct buffer *b) {
    int last = -1, count = 0;
    assert_int_equal(b->length % LINE, 0);
    for (size_t at = 0; at < b->length; at += LINE, count++) {
        int number = line_number(b, at);
        assert_true(number > last);
        last = number;
    }
    return count;
}

#endif
