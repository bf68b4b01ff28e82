/* A recall with packets whose bytes tell their number, for tests of rolling capture: the sensor's side gives
 * packets and alerts, the analyst's side reads the files back, with our reader and block by block. */
#ifndef LUNETTE_TESTS_RECALL_LAB_H
#define LUNETTE_TESTS_RECALL_LAB_H

#include "build_capture.h"

#include "base/bytes.h"
#include "sensor/recall.h"
#include "sensor/recall_folder.h"

#include <math.h>
#include <signal.h>
#include <sys/stat.h>

enum { MADE_MOST = 20000 };
#define SECONDS(s) ((nanoseconds)((s)*1e9))
static const nanoseconds begin = 1774088102123456789; /* 2026-03-21T10:15:02.123456789Z */

/* -------------------------------------------------------------------- the sensor's side */

/* A packet as it was given; its bytes are told by its number. */
struct made {
    uint64_t flow_id;
    nanoseconds time;
    uint32_t captured, original;
    uint16_t link_type;
    uint8_t interface, direction;
    uint8_t host; /* 192.168.1.host sent it */
};

struct lab {
    struct recall *recall;
    struct made made[MADE_MOST];
    uint32_t count;
    char alerts[320]; /* the folder */
};

static const char *const names[] = {"", "en0", "utun4"};
static inline const char *name_of(void *context, uint8_t interface) {
    (void)context;
    return names[interface % 3];
}

static inline struct recall_options lab_options(struct lab *lab) {
    struct recall_options options = recall_options_defaults();
    snprintf(lab->alerts, sizeof lab->alerts, "%s", path_of("alerts"));
    options.folder = lab->alerts;
    options.ring_bytes = 1 << 20;
    options.interface_name = name_of;
    return options;
}

static inline void lab_open(struct lab *lab, const struct recall_options *options) {
    struct error err = {.text = ""};
    lab->recall = recall_new(options, &err);
    if (!lab->recall) fail_msg("%s", err.text);
    lab->count = 0;
}

static inline void clear_folder(const char *path) {
    DIR *all = opendir(path);
    if (!all) return;
    char name[1024];
    for (struct dirent *entry; (entry = readdir(all));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (unlink(name) != 0) rmdir(name);
    }
    closedir(all);
    rmdir(path);
}

static inline int lab_setup(void **state) {
    static struct lab lab;
    *state = &lab;
    signal(SIGXFSZ, SIG_IGN);
    return 0;
}

static inline int lab_teardown(void **state) {
    struct lab *lab = *state;
    recall_free(lab->recall);
    lab->recall = NULL;
    clear_folder(path_of("alerts"));
    return 0;
}

static inline struct ip host_ip(uint8_t host) {
    struct ip ip;
    ip_from_v4(&ip, (const uint8_t[4]){192, 168, 1, host});
    return ip;
}

/* Two packets of three say who sent them. */
static const struct packet_process people[2] = {{.pid = 512, .name = "curl", .path = ""},
                                                {.pid = 88, .name = "mDNSResponder", .path = "/usr/sbin/x"}};
static inline struct packet_origin origin_of(uint32_t number) {
    return (struct packet_origin){.process = &people[number % 2],
                                  .effective = number % 4 == 1 ? &people[0] : NULL,
                                  .service_class = ORIGIN_NO_CLASS,
                                  .flow_id = number,
                                  .drop_function = "gone with the burst"};
}

static inline void expect_origin(const struct packet *packet, uint32_t number) {
    const struct packet_origin *got = packet->origin, wanted = origin_of(number);
    assert_int_equal(got != NULL, number % 3 != 0);
    if (!got) return;
    assert_int_equal(got->process->pid, wanted.process->pid);
    assert_string_equal(got->process->name, wanted.process->name);
    assert_string_equal(got->process->path, wanted.process->path);
    assert_int_equal(got->effective != NULL, wanted.effective != NULL);
    if (got->effective) assert_string_equal(got->effective->name, wanted.effective->name);
    assert_int_equal(got->service_class, ORIGIN_NO_CLASS);
    assert_int_equal(got->flow_id, number);
}

static inline void give_made(struct lab *lab, const struct made *made) {
    static uint8_t bytes[1 << 20];
    assert_true(lab->count < MADE_MOST && made->captured <= sizeof bytes);
    fill_packet(bytes, made->captured, lab->count);
    const struct packet_origin origin = origin_of(lab->count);
    const struct packet packet = {.bytes = bytes,
                                  .origin = lab->count % 3 ? &origin : NULL,
                                  .captured = made->captured,
                                  .original = made->original,
                                  .time = made->time,
                                  .link_type = made->link_type,
                                  .interface = made->interface,
                                  .direction = made->direction};
    struct decoded decoded = {.kind = DECODED_TRANSPORT, .src = host_ip(made->host), .dst = host_ip(1)};
    lab->made[lab->count++] = *made;
    recall_packet(lab->recall, &packet, &decoded, made->flow_id);
}

static inline void give(struct lab *lab, uint64_t flow_id, nanoseconds time, uint32_t length) {
    const struct made made = {
        .flow_id = flow_id, .time = time, .captured = length, .original = length, .link_type = 1, .host = 23};
    give_made(lab, &made);
}

static inline struct alert an_alert(nanoseconds time) {
    return (struct alert){.time = time,
                          .severity = SEVERITY_HIGH,
                          .score = NAN,
                          .confidence = NAN,
                          .detector = "beacon",
                          .title = "Regular call home",
                          .category = "Command and Control",
                          .attack = "T1071.001",
                          .who = "192.168.1.23",
                          .where = "example.net",
                          .why = "60 calls, 60.0 s apart",
                          .next = "Ask whose program that is",
                          .evidence = "{\"interval\":60.0}"};
}

static inline const char *alert_on(struct lab *lab, uint64_t flow_id, nanoseconds time) {
    struct alert alert = an_alert(time);
    return recall_alert(lab->recall, &alert, flow_id);
}

/* -------------------------------------------------------------------- the analyst's side */

static inline uint32_t files_in(const char *path, char last[512]) {
    DIR *all = opendir(path);
    uint32_t count = 0;
    assert_non_null(all);
    for (struct dirent *entry; (entry = readdir(all));) {
        if (entry->d_name[0] == '.') continue;
        if (last) snprintf(last, 512, "%.200s/%.255s", path, entry->d_name);
        count++;
    }
    closedir(all);
    return count;
}

/* Which of the packets that were given are in the file, in its order; each is compared whole. Packets are
 * told apart by their times. */
static inline uint32_t read_numbers(const struct lab *lab, const char *path, uint32_t *numbers) {
    struct capture *c = open_one(path);
    struct packet burst[PACKET_BURST];
    uint32_t count = 0;
    for (int got; (got = capture_next_burst(c, burst)) > 0;)
        for (int i = 0; i < got; i++) {
            uint32_t n = 0;
            while (n < lab->count && lab->made[n].time != burst[i].time) n++;
            if (n == lab->count) fail_msg("a packet that was never given");
            const struct made *made = &lab->made[n];
            check_packet(&burst[i], made->captured, n);
            expect_origin(&burst[i], n);
            assert_int_equal(burst[i].original, made->original);
            assert_int_equal(burst[i].link_type, made->link_type);
            assert_int_equal(burst[i].direction, made->direction);
            assert_string_equal(capture_interface_name(c, burst[i].interface), names[made->interface % 3]);
            numbers[count++] = n;
        }
    assert_null(capture_warning(c, 0));
    capture_close(c);
    return count;
}

static inline void expect_numbers(const struct lab *lab, const char *path, const uint32_t *wanted,
                                  uint32_t count) {
    static uint32_t numbers[MADE_MOST];
    assert_int_equal(read_numbers(lab, path, numbers), count);
    for (uint32_t i = 0; i < count; i++) assert_int_equal(numbers[i], wanted[i]);
}

/* All comments of a file's blocks of a type, one behind the other: a walk that knows nothing of the writer.
 */
static inline const char *comments_of(const char *path, uint32_t type) {
    static char out[300000];
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    size_t used = 0;
    uint32_t head[2];
    while (fread(head, 4, 2, in) == 2) {
        static uint8_t body[1 << 21];
        assert_in_range(head[1], 12, sizeof body);
        assert_int_equal(fread(body, 1, head[1] - 8, in), head[1] - 8);
        uint32_t captured = head[0] == 6 ? load_le32(body + 12) : 0;
        uint32_t at = head[0] == 6 ? 20 + ((captured + 3) & ~3u) : head[0] == 5 ? 12 : head[0] == 1 ? 8 : 16;
        while (head[0] == type && at + 4 <= head[1] - 12) {
            uint16_t code = load_le16(body + at), length = load_le16(body + at + 2);
            if (code == 0) break;
            assert_true(at + 4 + length <= head[1] - 12);
            if (code == 1) used += (size_t)sprintf(out + used, "%.*s\n", length, body + at + 4);
            at += 4 + ((length + 3u) & ~3u);
        }
    }
    fclose(in);
    out[used] = '\0';
    return out;
}
enum { SECTION = 0x0a0d0d0a, STATISTICS = 5, PACKETS = 6 };

static inline void expect_text(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("\"%s\" does not say \"%s\"", text, part);
}
static inline void expect_no_text(const char *text, const char *part) {
    if (strstr(text, part)) fail_msg("\"%s\" says \"%s\"", text, part);
}

#define LAB_TEST(name) cmocka_unit_test_setup_teardown(name, lab_setup, lab_teardown)

#endif
