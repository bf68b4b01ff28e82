/* The pcapng writer against two readers that know nothing of it: tshark, and a walk along the blocks. */
#include "build_capture.h"

#include "capture/pcapng_write.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static const char *const names[] = {"", "en0", "utun4"};
static const char *name_of(void *context, uint8_t interface) {
    (void)context;
    return names[interface % 3];
}

static const nanoseconds begin = 1774088102123456789;

static struct slice text(const char *s) {
    return (struct slice){(const uint8_t *)s, (uint32_t)strlen(s)};
}

static struct packet a_packet(const uint8_t *bytes, uint32_t length, uint32_t i) {
    static const uint16_t types[] = {1, 101, 0};
    return (struct packet){.bytes = bytes,
                           .captured = length,
                           .original = length + (i % 4 == 3 ? 1000 : 0),
                           .time = begin + (nanoseconds)i * 1000000001,
                           .link_type = types[i / 2 % 3],
                           .interface = (uint8_t)(i % 3),
                           .direction = (uint8_t)(i % 3)};
}

static const struct pcapng_section section = {.hardware = "abacus", .os = "Plan 9", .application = "lunette"};

static int new_file(const char *name) {
    int fd = open(path_of(name), O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    return fd;
}

/* Writes `count` packets of growing length through a buffer of `room` bytes. */
static const char *write_some(uint32_t room, uint32_t count, const char *comment) {
    static uint8_t buffer[65536], bytes[20000];
    int fd = new_file("some.pcapng");
    struct pcapng_writer w;
    struct pcapng_section with = section;
    with.comment = text(comment);
    pcapng_begin(&w, fd, buffer, room, &with, name_of, NULL);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t length = i * 37 % sizeof bytes;
        fill_packet(bytes, length, i);
        struct packet p = a_packet(bytes, length, i);
        uint64_t before = w.size, most = pcapng_packet_most(&w, &p, i == 1 ? (uint32_t)strlen(comment) : 0);
        assert_int_equal(pcapng_packet(&w, &p, text(i == 1 ? comment : "")), 0);
        assert_in_range(w.size - before, 1, most);
    }
    assert_int_equal(pcapng_closing(&w, begin, text("the end")), 0);
    assert_int_equal(pcapng_flush(&w), 0);
    assert_int_equal(w.packets, count);
    assert_int_equal(lseek(fd, 0, SEEK_END), w.size);
    close(fd);
    return path_of("some.pcapng");
}

static void our_reader_gets_the_packets_back(void **state) {
    (void)state;
    static const uint32_t rooms[] = {64, 300, 4096, 65536};
    for (int r = 0; r < 4; r++) {
        struct capture *c = open_one(write_some(rooms[r], 400, "a comment\nof two lines"));
        struct packet burst[PACKET_BURST];
        uint32_t i = 0;
        for (int got; (got = capture_next_burst(c, burst)) > 0;)
            for (int k = 0; k < got; k++, i++) {
                struct packet wanted = a_packet(NULL, i * 37 % 20000, i);
                check_packet(&burst[k], wanted.captured, i);
                assert_int_equal(burst[k].original, wanted.original);
                assert_int_equal(burst[k].time, wanted.time);
                assert_int_equal(burst[k].link_type, wanted.link_type);
                assert_int_equal(burst[k].direction, wanted.direction);
                assert_string_equal(capture_interface_name(c, burst[k].interface), names[i % 3]);
            }
        assert_int_equal(i, 400);
        assert_null(capture_warning(c, 0));
        capture_close(c);
    }
}

/* Runs a command and returns what it prints, or NULL if the program is not there. */
static char *output_of(const char *command) {
    static char out[200000];
    FILE *in = popen(command, "r");
    assert_non_null(in);
    size_t length = fread(out, 1, sizeof out - 1, in);
    out[length] = '\0';
    return pclose(in) == 0 ? out : NULL;
}

static void tshark_reads_the_same(void **state) {
    (void)state;
    char command[1024];
    if (!output_of("tshark --version 2>/dev/null")) skip();
    const char *path = write_some(4096, 12, "schön");
    snprintf(command, sizeof command,
             "tshark -n -r '%s' -T fields -E occurrence=a -e frame.time_epoch -e frame.len -e frame.cap_len "
             "-e frame.interface_name -e frame.packet_flags_direction -e frame.comment 2>/dev/null",
             path);
    char expected[4096] = "", *line = expected;
    for (uint32_t i = 0; i < 12; i++) {
        struct packet p = a_packet(NULL, i * 37, i);
        char flags[32] = "", name[32];
        snprintf(name, sizeof name, "%s", names[i % 3]);
        if (p.direction) snprintf(flags, sizeof flags, "0x%08x", p.direction == PACKET_IN ? 1u : 2u);
        line += sprintf(line, "%lld.%09lld\t%u\t%u\t%s\t%s\t%s\n", (long long)(p.time / NS_PER_SECOND),
                        (long long)(p.time % NS_PER_SECOND), p.original, p.captured, name, flags,
                        i == 1 ? "schön" : "");
    }
    char *got = output_of(command);
    assert_non_null(got);
    /* An interface without a name is what tshark calls it. */
    for (char *at; (at = strstr(got, "\tunknown\t"));) memmove(at + 1, at + 8, strlen(at + 8) + 1);
    assert_string_equal(got, expected);

    snprintf(command, sizeof command, "capinfos -M '%s' 2>/dev/null", path);
    got = output_of(command);
    assert_non_null(got);
    assert_non_null(strstr(got, "abacus"));
    assert_non_null(strstr(got, "Plan 9"));
    assert_non_null(strstr(got, "lunette"));
    assert_non_null(strstr(got, "schön"));
    assert_non_null(strstr(got, "nanoseconds (9)"));
}

static void a_comment_longer_than_an_option_is_cut(void **state) {
    (void)state;
    char *comment = malloc(70001);
    memset(comment, 'x', 70000);
    comment[70000] = '\0';
    struct capture *c = open_one(write_some(64, 3, comment));
    assert_int_equal(count_packets(c), 3);
    assert_null(capture_warning(c, 0));
    capture_close(c);
    free(comment);
}

static void too_many_interfaces_are_refused(void **state) {
    (void)state;
    uint8_t buffer[1024];
    int fd = new_file("many.pcapng");
    struct pcapng_writer w;
    pcapng_begin(&w, fd, buffer, sizeof buffer, &section, NULL, NULL);
    for (int i = 0; i < 256; i++) {
        struct packet p = {
            .bytes = (const uint8_t *)"abcd", .captured = 4, .original = 4, .interface = (uint8_t)i};
        assert_int_equal(pcapng_packet(&w, &p, text("")), i < PCAPNG_INTERFACES ? 0 : -1);
        assert_int_equal(w.failure, 0);
    }
    assert_int_equal(pcapng_flush(&w), 0);
    close(fd);
    struct capture *c = open_one(path_of("many.pcapng"));
    assert_int_equal(count_packets(c), PCAPNG_INTERFACES);
    capture_close(c);
}

/* Whatever the file may grow to: what is there is whole blocks, and their packets are counted. */
static void a_full_disk_leaves_whole_blocks(void **state) {
    (void)state;
    struct rlimit old, limit;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    static uint8_t buffer[2048], bytes[3000];
    for (rlim_t most = 0; most < 9000; most += 61) {
        int fd = new_file("full.pcapng");
        limit = (struct rlimit){most, old.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        struct pcapng_writer w;
        pcapng_begin(&w, fd, buffer, sizeof buffer, &section, name_of, NULL);
        for (uint32_t i = 0; i < 20; i++) {
            uint32_t length = i == 9 ? sizeof bytes : 100 + 41 * i;
            fill_packet(bytes, length, i);
            struct packet p = a_packet(bytes, length, i);
            pcapng_packet(&w, &p, text(""));
        }
        int flushed = pcapng_flush(&w);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_int_equal(flushed, -1);
        assert_int_equal(w.failure, EFBIG);
        struct stat seen;
        assert_int_equal(fstat(fd, &seen), 0);
        assert_int_equal(seen.st_size, w.size);
        assert_true((rlim_t)seen.st_size <= most);
        close(fd);
        if (w.size == 0) {
            assert_int_equal(w.packets, 0);
            continue;
        }
        struct capture *c = open_one(path_of("full.pcapng"));
        assert_int_equal(count_packets(c), w.packets);
        assert_null(capture_warning(c, 0));
        capture_close(c);
    }
}

/* More processes than the writer remembers, each with one that it acts for; what is said of packets comes
 * back. */
static void who_sent_it_comes_back(void **state) {
    (void)state;
    enum { PEOPLE = 150, PACKETS = 2000 };
    static uint8_t buffer[4096], bytes[64];
    static char texts[PEOPLE][2][400];
    static struct packet_process people[PEOPLE];
    for (int i = 0; i < PEOPLE; i++) {
        snprintf(texts[i][0], sizeof texts[i][0], "process %0*d", i % 200, i);
        snprintf(texts[i][1], sizeof texts[i][1], i % 3 ? "" : "/usr/libexec/%d", i);
        people[i] = (struct packet_process){
            .pid = i, .name = texts[i][0], .path = texts[i][1], .has_uuid = i % 2, .uuid = {(uint8_t)i, 7}};
    }
    int fd = new_file("who.pcapng");
    struct pcapng_writer w;
    pcapng_begin(&w, fd, buffer, sizeof buffer, &section, name_of, NULL);
    for (uint32_t i = 0; i < PACKETS; i++) {
        const struct packet_origin origin = {.process = i % 5 ? &people[i * 7 % PEOPLE] : NULL,
                                             .effective = i % 4 ? NULL : &people[i * 11 % PEOPLE],
                                             .service_class = i % 3 ? ORIGIN_NO_CLASS : i % 1000,
                                             .flow_id = i % 6 * 0x10000001u,
                                             .flags = i % 64,
                                             .drop_reason = i % 50 ? 0 : 0x02020005,
                                             .drop_line = i % 50 ? 0 : 815,
                                             .drop_function = ""};
        struct packet p = a_packet(bytes, sizeof bytes, i);
        if (i % 9) p.origin = &origin;
        uint64_t before = w.size, most = pcapng_packet_most(&w, &p, 0);
        assert_int_equal(pcapng_packet(&w, &p, text("")), 0);
        assert_in_range(w.size - before, 1, most);
    }
    assert_int_equal(pcapng_flush(&w), 0);
    close(fd);

    struct capture *c = open_one(path_of("who.pcapng"));
    struct packet burst[PACKET_BURST];
    uint32_t i = 0;
    for (int got; (got = capture_next_burst(c, burst)) > 0;)
        for (int k = 0; k < got; k++, i++) {
            const struct packet_origin *o = burst[k].origin;
            if (i % 9 == 0) {
                assert_null(o);
                continue;
            }
            const struct packet_process *process = i % 5 ? &people[i * 7 % PEOPLE] : NULL;
            const struct packet_process *effective = i % 4 ? NULL : &people[i * 11 % PEOPLE];
            const struct packet_process *pairs[2][2] = {{o ? o->process : NULL, process},
                                                        {o ? o->effective : NULL, effective}};
            for (int pair = 0; pair < 2; pair++) {
                const struct packet_process *got_it = pairs[pair][0], *wanted = pairs[pair][1];
                assert_int_equal(got_it != NULL, wanted != NULL);
                if (!wanted) continue;
                assert_int_equal(got_it->pid, wanted->pid);
                assert_string_equal(got_it->name, wanted->name);
                assert_string_equal(got_it->path, wanted->path);
                assert_int_equal(got_it->has_uuid, wanted->has_uuid);
                if (wanted->has_uuid) assert_memory_equal(got_it->uuid, wanted->uuid, 16);
            }
            if (!o) continue;
            assert_int_equal(o->service_class, i % 3 ? ORIGIN_NO_CLASS : i % 1000);
            assert_int_equal(o->flow_id, i % 6 * 0x10000001u);
            assert_int_equal(o->flags, i % 64);
            assert_int_equal(o->drop_reason, i % 50 ? 0 : 0x02020005);
            assert_int_equal(o->drop_line, i % 50 ? 0 : 815);
        }
    assert_int_equal(i, PACKETS);
    assert_null(capture_warning(c, 0));
    capture_close(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_reader_gets_the_packets_back),
        cmocka_unit_test(who_sent_it_comes_back),
        cmocka_unit_test(tshark_reads_the_same),
        cmocka_unit_test(a_comment_longer_than_an_option_is_cut),
        cmocka_unit_test(too_many_interfaces_are_refused),
        cmocka_unit_test(a_full_disk_leaves_whole_blocks),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
