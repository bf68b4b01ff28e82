/* Rolling capture: what is in the files is what was given, in its windows and bounds, whatever the ring has
 * forgotten, the disk refuses, or an alert calls itself. */
#include "build_capture.h"

#include "base/bytes.h"
#include "sensor/recall.h"
#include "sensor/recall_folder.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { SNAP_MOST = 3000, MADE_MOST = 20000 };
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
static const char *name_of(void *context, uint8_t interface) {
    (void)context;
    return names[interface % 3];
}

static struct recall_options lab_options(struct lab *lab) {
    struct recall_options options = recall_options_defaults();
    snprintf(lab->alerts, sizeof lab->alerts, "%s", path_of("alerts"));
    options.folder = lab->alerts;
    options.ring_bytes = 1 << 20;
    options.interface_name = name_of;
    return options;
}

static void lab_open(struct lab *lab, const struct recall_options *options) {
    struct error err = {.text = ""};
    lab->recall = recall_new(options, &err);
    if (!lab->recall) fail_msg("%s", err.text);
    lab->count = 0;
}

static void clear_folder(const char *path) {
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

static int lab_setup(void **state) {
    static struct lab lab;
    *state = &lab;
    signal(SIGXFSZ, SIG_IGN);
    return 0;
}

static int lab_teardown(void **state) {
    struct lab *lab = *state;
    recall_free(lab->recall);
    lab->recall = NULL;
    clear_folder(path_of("alerts"));
    return 0;
}

static struct ip host_ip(uint8_t host) {
    struct ip ip;
    ip_from_v4(&ip, (const uint8_t[4]){192, 168, 1, host});
    return ip;
}

static void give_made(struct lab *lab, const struct made *made) {
    static uint8_t bytes[1 << 20];
    assert_true(lab->count < MADE_MOST && made->captured <= sizeof bytes);
    fill_packet(bytes, made->captured, lab->count);
    const struct packet packet = {.bytes = bytes,
                                  .captured = made->captured,
                                  .original = made->original,
                                  .time = made->time,
                                  .link_type = made->link_type,
                                  .interface = made->interface,
                                  .direction = made->direction,
                                  .pid = -1,
                                  .effective_pid = -1};
    struct decoded decoded = {.kind = DECODED_TRANSPORT, .src = host_ip(made->host), .dst = host_ip(1)};
    lab->made[lab->count++] = *made;
    recall_packet(lab->recall, &packet, &decoded, made->flow_id);
}

static void give(struct lab *lab, uint64_t flow_id, nanoseconds time, uint32_t length) {
    const struct made made = {
        .flow_id = flow_id, .time = time, .captured = length, .original = length, .link_type = 1, .host = 23};
    give_made(lab, &made);
}

static struct alert an_alert(nanoseconds time) {
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

static const char *alert_on(struct lab *lab, uint64_t flow_id, nanoseconds time) {
    struct alert alert = an_alert(time);
    return recall_alert(lab->recall, &alert, flow_id);
}

/* -------------------------------------------------------------------- the analyst's side */

static uint32_t files_in(const char *path, char last[512]) {
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
static uint32_t read_numbers(const struct lab *lab, const char *path, uint32_t *numbers) {
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

static void expect_numbers(const struct lab *lab, const char *path, const uint32_t *wanted, uint32_t count) {
    static uint32_t numbers[MADE_MOST];
    assert_int_equal(read_numbers(lab, path, numbers), count);
    for (uint32_t i = 0; i < count; i++) assert_int_equal(numbers[i], wanted[i]);
}

/* All comments of a file's blocks of a type, one behind the other: a walk that knows nothing of the writer.
 */
static const char *comments_of(const char *path, uint32_t type) {
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

static void expect_text(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("\"%s\" does not say \"%s\"", text, part);
}
static void expect_no_text(const char *text, const char *part) {
    if (strstr(text, part)) fail_msg("\"%s\" says \"%s\"", text, part);
}

/* -------------------------------------------------------------------------- what is kept */

static void packets_come_back_as_they_were(void **state) {
    struct lab *lab = *state;
    const struct recall_options options = lab_options(lab);
    lab_open(lab, &options);
    uint32_t wanted[200], count = 0;
    static const uint16_t types[] = {1, 101, 0, 276};
    for (uint32_t i = 0; i < 400; i++) {
        const struct made made = {.flow_id = 1 + i % 3,
                                  .time = begin + i * 10000001,
                                  .captured = i * 7 % 1400,
                                  .original = i * 7 % 1400 + (i % 5 == 0 ? 777 : 0),
                                  .link_type = types[i / 7 % 4],
                                  .interface = (uint8_t)(i / 5 % 3),
                                  .direction = (uint8_t)(i % 3),
                                  .host = 23};
        if (made.flow_id == 2) wanted[count++] = i;
        give_made(lab, &made);
        if (i == 199) assert_non_null(alert_on(lab, 2, made.time));
    }
    char path[512];
    recall_advance(lab->recall, begin + SECONDS(20)); /* the file is still open, and can be read */
    assert_int_equal(files_in(lab->alerts, path), 1);
    expect_numbers(lab, path, wanted, count);
    recall_advance(lab->recall, begin + SECONDS(100));
    assert_int_equal(recall_figures(lab->recall)->open, 0);
    expect_numbers(lab, path, wanted, count);
    const struct recall_figures *figures = recall_figures(lab->recall);
    assert_int_equal(figures->files, 1);
    assert_int_equal(figures->packets, count);
    struct stat seen;
    assert_int_equal(stat(path, &seen), 0);
    assert_int_equal(seen.st_size, figures->bytes);
    assert_int_equal(seen.st_mode & 07777 & ~0640u, 0);
    assert_string_equal(strrchr(path, '/') + 1, "20260321T101504Z-beacon-192.168.1.23-2.pcapng");
}

static void the_alert_is_the_comment(void **state) {
    struct lab *lab = *state;
    const struct recall_options options = lab_options(lab);
    lab_open(lab, &options);
    for (uint32_t i = 0; i < 3; i++) give(lab, 7, begin + i, 60);
    char path[512];
    snprintf(path, sizeof path, "%s", alert_on(lab, 7, begin + 2));
    static const char *const parts[] = {"Regular call home",
                                        "high",
                                        "beacon",
                                        "T1071.001",
                                        "192.168.1.23",
                                        "example.net",
                                        "60.0 s apart",
                                        "whose program",
                                        "{\"interval\":60.0}",
                                        "2026-03-21T10:15:02.123456",
                                        "3 kept"};
    for (int kind = 0; kind < 2; kind++)
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
            expect_text(comments_of(path, kind ? SECTION : PACKETS), parts[i]);
    expect_no_text(comments_of(path, SECTION), "missing:");
    /* once only */
    assert_null(strstr(strstr(comments_of(path, PACKETS), "Regular") + 1, "Regular"));
    if (system("tshark --version >/dev/null 2>&1") != 0) return;
    char command[1400], got[4096];
    snprintf(
        command, sizeof command,
        "tshark -n -r '%s' -T fields -e frame.number -e frame.comment 2>/dev/null; capinfos '%s' 2>/dev/null",
        path, path);
    FILE *in = popen(command, "r");
    assert_non_null(in);
    size_t length = fread(got, 1, sizeof got - 1, in);
    got[length] = '\0';
    pclose(in);
    char *capinfos = strstr(got, "File name");
    assert_non_null(capinfos);
    expect_text(capinfos, "Regular call home");
    expect_text(capinfos, "lunette");
    *capinfos = '\0';
    expect_text(got, "1\talert:");
    expect_text(got, "Regular call home");
    expect_text(got, "\n2\t\n3\t\n");
}

static void windows_are_of_packet_time(void **state) {
    struct lab *lab = *state;
    struct recall_options options = lab_options(lab);
    options.before = SECONDS(10);
    options.after = SECONDS(5);
    lab_open(lab, &options);
    /* One packet a second; the alert is about the 20th and told when the 23rd has been. */
    for (uint32_t i = 0; i <= 23; i++) give(lab, 1, begin + SECONDS(i), 100);
    char path[512];
    snprintf(path, sizeof path, "%s", alert_on(lab, 1, begin + SECONDS(20)));
    for (uint32_t i = 24; i <= 40; i++) give(lab, 1, begin + SECONDS(i), 100);
    recall_advance(lab->recall, begin + SECONDS(40));
    uint32_t wanted[16];
    for (uint32_t i = 0; i < 16; i++) wanted[i] = 10 + i;
    expect_numbers(lab, path, wanted, 16);
    expect_text(comments_of(path, SECTION), "10 too old, 0 for want of room");
    expect_text(comments_of(path, STATISTICS), "complete until 2026-03-21T10:15:27");
}

/* Alerts about a flow's end come long after its last packet. */
static void a_silent_flow_is_kept_from_its_last_packet(void **state) {
    struct lab *lab = *state;
    struct recall_options options = lab_options(lab);
    options.before = SECONDS(10);
    lab_open(lab, &options);
    for (uint32_t i = 0; i < 20; i++) give(lab, 1, begin + SECONDS(i), 100);
    give(lab, 2, begin + SECONDS(300), 100);
    const char *path = alert_on(lab, 1, begin + SECONDS(300));
    uint32_t wanted[11];
    for (uint32_t i = 0; i < 11; i++) wanted[i] = 9 + i;
    expect_numbers(lab, path, wanted, 11);
}

static void an_alert_may_come_before_its_packet(void **state) {
    struct lab *lab = *state;
    const struct recall_options options = lab_options(lab);
    lab_open(lab, &options);
    give(lab, 1, begin, 100);
    char path[512], empty[512];
    snprintf(path, sizeof path, "%s", alert_on(lab, 2, begin));
    snprintf(empty, sizeof empty, "%s", alert_on(lab, 3, begin));
    assert_int_equal(recall_figures(lab->recall)->files, 0);
    give(lab, 2, begin + 1, 200);
    recall_advance(lab->recall, begin + SECONDS(60));
    expect_numbers(lab, path, (const uint32_t[]){1}, 1);
    expect_text(comments_of(path, PACKETS), "Regular call home");
    assert_int_equal(access(empty, F_OK), -1);
    assert_int_equal(recall_figures(lab->recall)->files, 1);
    assert_int_equal(recall_figures(lab->recall)->nothing, 1);
}

static void a_second_alert_is_a_comment(void **state) {
    struct lab *lab = *state;
    const struct recall_options options = lab_options(lab);
    lab_open(lab, &options);
    give(lab, 1, begin, 100);
    char path[512];
    snprintf(path, sizeof path, "%s", alert_on(lab, 1, begin));
    struct alert second = an_alert(begin + SECONDS(20));
    second.title = "Much data went out";
    assert_string_equal(recall_alert(lab->recall, &second, 1), path);
    give(lab, 1, begin + SECONDS(45), 100); /* within the second one's time */
    second.title = "And once more";
    assert_string_equal(recall_alert(lab->recall, &second, 1), path);
    recall_advance(lab->recall, begin + SECONDS(90));
    assert_int_equal(files_in(lab->alerts, NULL), 1);
    expect_numbers(lab, path, (const uint32_t[]){0, 1}, 2);
    expect_text(comments_of(path, PACKETS), "Much data went out");
    expect_text(comments_of(path, STATISTICS), "And once more"); /* no packet came that could carry it */
    expect_text(comments_of(path, STATISTICS), "alerts:   3");
}

static void an_alert_without_a_flow_takes_its_host(void **state) {
    struct lab *lab = *state;
    const struct recall_options options = lab_options(lab);
    lab_open(lab, &options);
    uint32_t wanted[40], count = 0;
    for (uint32_t i = 0; i < 120; i++) {
        struct made made = {.flow_id = i % 4,
                            .time = begin + i,
                            .captured = 80,
                            .original = 80,
                            .link_type = 1,
                            .host = (uint8_t)(22 + i % 3)};
        if (made.host == 23) wanted[count++] = i;
        give_made(lab, &made);
        if (i == 60) assert_non_null(alert_on(lab, 0, begin + 60));
    }
    recall_advance(lab->recall, begin + SECONDS(90));
    char path[512];
    assert_int_equal(files_in(lab->alerts, path), 1);
    expect_numbers(lab, path, wanted, count);
    expect_text(comments_of(path, SECTION), "of the host");
    struct alert nobody = an_alert(begin);
    nobody.who = "Anna's laptop";
    assert_null(recall_alert(lab->recall, &nobody, 0));
    nobody.who = "::";
    assert_null(recall_alert(lab->recall, &nobody, 0));
    assert_int_equal(recall_figures(lab->recall)->nothing, 2);
}

/* ------------------------------------------------------------------------------- bounds */

static void a_file_has_a_bound(void **state) {
    struct lab *lab = *state;
    struct recall_options options = lab_options(lab);
    options.file_bytes = 200 * 1024;
    lab_open(lab, &options);
    for (uint32_t i = 0; i < 500; i++) give(lab, 1, begin + i, 1000);
    char path[512];
    snprintf(path, sizeof path, "%s", alert_on(lab, 1, begin + 499));
    for (uint32_t i = 500; i < 1000; i++) give(lab, 1, begin + i, 1000);
    /* A comment that comes when nothing fits any more is not lost. */
    struct alert late = an_alert(begin + 999);
    late.title = "Too late for a packet";
    assert_string_equal(recall_alert(lab->recall, &late, 1), path);
    recall_advance(lab->recall, begin + SECONDS(60));
    static uint32_t numbers[MADE_MOST];
    uint32_t count = read_numbers(lab, path, numbers);
    struct stat seen;
    assert_int_equal(stat(path, &seen), 0);
    assert_in_range(seen.st_size, 150 * 1024, 200 * 1024);
    for (uint32_t i = 1; i < count; i++) assert_int_equal(numbers[i], numbers[0] + i); /* no hole */
    assert_in_range(numbers[0], 350, 400);         /* most of the room for what was before */
    assert_in_range(numbers[count - 1], 520, 600); /* but not all */
    char part[128];
    snprintf(part, sizeof part, "%u packets before the first", numbers[0]);
    expect_text(comments_of(path, SECTION), part);
    snprintf(part, sizeof part, "left out: %u packets", 999 - numbers[count - 1]);
    expect_text(comments_of(path, STATISTICS), part);
    expect_text(comments_of(path, STATISTICS), "Too late for a packet");
    assert_int_equal(recall_figures(lab->recall)->left_out, 1000 - count);
}

static void files_at_once_and_a_second_have_a_bound(void **state) {
    struct lab *lab = *state;
    struct recall_options options = lab_options(lab);
    options.at_once = 3;
    lab_open(lab, &options);
    for (uint32_t i = 0; i < 5; i++) give(lab, 1 + i, begin + i, 100);
    for (uint32_t i = 0; i < 5; i++) {
        const char *path = alert_on(lab, 1 + i, begin + 4);
        assert_int_equal(path != NULL, i < 3);
    }
    assert_int_equal(recall_figures(lab->recall)->refused, 2);
    expect_text(recall_figures(lab->recall)->trouble, "3 files are open at once");
    recall_advance(lab->recall, begin + SECONDS(60));
    assert_non_null(alert_on(lab, 4, begin + 4));
    recall_free(lab->recall);
    clear_folder(lab->alerts);

    options.at_once = 1000;
    options.per_second = 10;
    lab_open(lab, &options);
    uint32_t made = 0;
    for (uint32_t i = 0; i < 300; i++) give(lab, 1 + i, begin + i, 100);
    for (uint32_t i = 0; i < 200; i++) made += alert_on(lab, 1 + i, begin) != NULL;
    assert_int_equal(made, 64); /* a burst */
    recall_advance(lab->recall, begin + SECONDS(1));
    made = 0;
    for (uint32_t i = 200; i < 300; i++) made += alert_on(lab, 1 + i, begin) != NULL;
    assert_in_range(made, 9, 10);
}

static void touch(const char *folder_path, const char *name) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder_path, name);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    fclose(out);
}

static void only_our_oldest_files_go(void **state) {
    struct lab *lab = *state;
    struct recall_options options = lab_options(lab);
    options.files = 5;
    options.at_once = 300;
    lab_open(lab, &options);
    static const char *const theirs[] = {
        "00000000T000000Z.pcapng",        "19990101T000000Z-notes.pcapng",    "19990101T000000Z-a-b-1.pcap",
        "19990101T000000Z-a-b-x.pcapng",  "19990101T000000-a-b-1.pcapng",     "19990101T000000Z-ä-b-1.pcapng",
        "x19990101T000000Z-a-b-1.pcapng", "19990101T000000Z-a-b-1.pcapng.gz", "important.pcapng",
        "19990101T000000Z-a-b-.pcapng",   "1999x101T000000Z-a-b-1.pcapng"};
    const uint32_t count = sizeof theirs / sizeof theirs[0];
    for (uint32_t i = 0; i < count; i++) {
        assert_false(folder_name_is_ours(theirs[i]));
        touch(lab->alerts, theirs[i]);
    }
    char path[1024];
    snprintf(path, sizeof path, "%s/19990101T000000Z-a-folder-1.pcapng", lab->alerts);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/19990101T000000Z-a-link-1.pcapng", lab->alerts);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    char ours[150][32];
    for (int i = 0; i < 150; i++) { /* left by runs with another bound */
        snprintf(ours[i], sizeof ours[i], "2001%02d%02dT000000Z-a-b-1.pcapng", 1 + i / 28, 1 + i % 28);
        assert_true(folder_name_is_ours(ours[i]));
        touch(lab->alerts, ours[i]);
    }
    char made[8][512];
    for (int i = 0; i < 8; i++) {
        give(lab, 1 + (uint64_t)i, begin + SECONDS(i), 100);
        snprintf(made[i], sizeof made[i], "%s", alert_on(lab, 1 + (uint64_t)i, begin + SECONDS(i)));
        assert_int_equal(files_in(lab->alerts, NULL), count + 2 + 5);
    }
    for (int i = 0; i < 8; i++) assert_int_equal(access(made[i], F_OK), i < 3 ? -1 : 0);
    assert_int_equal(recall_figures(lab->recall)->removed, 153);
}

static void workers_share_a_folder(void **state) {
    struct lab *lab = *state;
    struct recall_options options = lab_options(lab);
    char paths[4][512];
    for (uint32_t i = 0; i < 4; i++) {
        options.worker = i;
        lab_open(lab, &options);
        give(lab, 1, begin, 100 + i);
        snprintf(paths[i], sizeof paths[i], "%s", alert_on(lab, 1, begin));
        assert_true(folder_name_is_ours(strrchr(paths[i], '/') + 1));
        recall_free(lab->recall);
    }
    lab->recall = NULL;
    assert_int_equal(files_in(lab->alerts, NULL), 4);
    for (uint32_t i = 0; i < 4; i++) {
        struct capture *c = open_one(paths[i]);
        struct packet burst[PACKET_BURST];
        assert_int_equal(capture_next_burst(c, burst), 1);
        assert_int_equal(burst[0].captured, 100 + i);
        capture_close(c);
    }
}

/* ------------------------------------------------------------------------------ hostility */

static void hostile_names_stay_in_the_folder(void **state) {
    struct lab *lab = *state;
    const struct recall_options options = lab_options(lab);
    lab_open(lab, &options);
    char longest[301];
    memset(longest, 'A', 300);
    longest[300] = '\0';
    const char *const texts[] = {"../../x",     "/etc/passwd",  "a\nb\rc",       longest,        "größe-日本",
                                 ".hidden",     "-rf",          "a\x1b[2Jb\x07", "\xff\xfe\x80", "",
                                 "2001:db8::1", "$(reboot)`x`", "a\\b|c*?<>\""};
    const uint32_t count = sizeof texts / sizeof texts[0];
    for (uint32_t i = 0; i < count; i++) {
        give(lab, 1 + i, begin + i, 100);
        struct alert alert = an_alert(begin);
        alert.detector = alert.who = alert.title = alert.why = alert.evidence = texts[i];
        const char *path = recall_alert(lab->recall, &alert, 1 + i);
        assert_non_null(path);
        size_t folder_length = strlen(lab->alerts);
        assert_memory_equal(path, lab->alerts, folder_length);
        const char *name = path + folder_length + 1;
        assert_null(strchr(name, '/'));
        assert_true(strlen(name) < 200);
        assert_true(folder_name_is_ours(name));
        for (const char *p = name; *p; p++) assert_in_range(*p, 0x21, 0x7e);
        for (const char *p = comments_of(path, SECTION); *p; p++)
            assert_true((uint8_t)*p >= 0x20 || *p == '\n');
    }
    assert_int_equal(files_in(lab->alerts, NULL), count);

    char *huge = malloc(1 << 20); /* from a script that means ill, or well */
    memset(huge, '\x01', 1 << 20);
    huge[(1 << 20) - 1] = '\0';
    struct alert alert = an_alert(begin);
    alert.title = alert.why = alert.next = alert.evidence = alert.where = alert.who = alert.attack = huge;
    give(lab, 100, begin + 100, 100);
    const char *path = recall_alert(lab->recall, &alert, 100);
    assert_non_null(path);
    struct stat seen;
    assert_int_equal(stat(path, &seen), 0);
    assert_in_range(seen.st_size, 1000, 64 * 1024);
    expect_text(comments_of(path, SECTION), "(cut)");
    for (int i = 0; i < 100; i++) recall_alert(lab->recall, &alert, 100);
    give(lab, 100, begin + 101, 100);
    for (int i = 0; i < 100; i++) recall_alert(lab->recall, &alert, 100);
    recall_free(lab->recall);
    lab->recall = NULL;
    free(huge);
}

static void a_folder_that_cannot_be_is_told(void **state) {
    struct lab *lab = *state;
    struct recall_options options = lab_options(lab);
    struct error err;
    options.folder = path_of("not/there/yet");
    assert_null(recall_new(&options, &err));
    expect_text(err.text, "cannot make the folder");
    touch(path_of(""), "a-file");
    options.folder = path_of("a-file");
    assert_null(recall_new(&options, &err));
    expect_text(err.text, "cannot open the folder");
    if (geteuid() == 0) return; /* may write everywhere */
    options.folder = path_of("shut");
    assert_int_equal(mkdir(options.folder, 0500), 0);
    assert_null(recall_new(&options, &err));
    expect_text(err.text, "cannot write captures");
    rmdir(options.folder);
}

static void set_limit(rlim_t bytes) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_costs_files_and_nothing_else(void **state) {
    struct lab *lab = *state;
    const struct recall_options options = lab_options(lab);
    lab_open(lab, &options);
    for (uint32_t i = 0; i < 100; i++) give(lab, 1 + i % 2, begin + i, 1000);
    set_limit(0); /* not even a header */
    const char *path = alert_on(lab, 1, begin + 99);
    set_limit(RLIM_INFINITY);
    assert_null(path);
    assert_int_equal(files_in(lab->alerts, NULL), 0);
    const struct recall_figures *figures = recall_figures(lab->recall);
    assert_int_equal(figures->refused, 1);
    assert_int_equal(figures->files, 0);
    expect_text(figures->trouble, "could not be written: File too large");

    set_limit(30000); /* in the middle of what was before */
    path = alert_on(lab, 1, begin + 99);
    set_limit(RLIM_INFINITY);
    assert_non_null(path);
    char last[512];
    assert_int_equal(files_in(lab->alerts, last), 1);
    uint32_t wanted[50];
    for (uint32_t i = 0; i < 50; i++) wanted[i] = 2 * i;
    expect_numbers(lab, last, wanted, (uint32_t)figures->packets);
    assert_in_range(figures->packets, 20, 29);
    assert_int_equal(figures->ended, 1);
    assert_int_equal(figures->open, 0);
    expect_text(figures->trouble, "ended early");
    unlink(last);

    uint64_t before = figures->packets; /* and in what comes after */
    assert_non_null(alert_on(lab, 2, begin + 99));
    set_limit(80000);
    for (uint32_t i = 100; i < 200; i++) give(lab, 1 + i % 2, begin + i, 1000);
    recall_advance(lab->recall, begin + SECONDS(1));
    set_limit(RLIM_INFINITY);
    assert_int_equal(files_in(lab->alerts, last), 1);
    uint32_t numbers[100];
    assert_int_equal(read_numbers(lab, last, numbers), figures->packets - before);
    assert_in_range(figures->packets - before, 70, 78);
    assert_int_equal(figures->ended, 2);

    assert_non_null(alert_on(lab, 1, begin + 199)); /* there is room again */
    recall_advance(lab->recall, begin + SECONDS(90));
    assert_string_equal(figures->trouble, "");
}

/* -------------------------------------------------------------------- against a model */

static uint32_t random_state = 20260321;
static uint32_t random_below(uint32_t n) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % n;
}

/* Whatever the sizes: of the flow, the file has all packets from some point on, the begin is said to be
 * missing exactly if it is, and the ring did not forget earlier than its size makes it. */
static void any_ring_any_packets(void **state) {
    struct lab *lab = *state;
    static uint32_t numbers[MADE_MOST], expected[MADE_MOST];
    uint32_t without_begin = 0, with_begin = 0;
    for (int round = 0; round < 150; round++) {
        struct recall_options options = lab_options(lab);
        options.ring_bytes = 65536 + random_below(random_below(4) == 0 ? 600000 : 30000);
        options.before = options.after = SECONDS(1000000);
        options.file_bytes = 64 << 20;
        lab_open(lab, &options);
        uint32_t packets = 1 + random_below(1500), largest = 1 + random_below(SNAP_MOST);
        uint32_t flows = 1 + random_below(40), at = random_below(packets), host = 0;
        uint64_t newest = 1, chosen = 0;
        char path[512] = "";
        bool too_large = false;
        for (uint32_t i = 0; i < packets; i++) {
            /* ids count up: a flow that was there, or the next */
            uint64_t flow = 1 + random_below((uint32_t)newest);
            bool new_flow = random_below(20) == 0 && newest < flows;
            if (new_flow) flow = ++newest;
            uint32_t length = random_below(50) == 0 ? random_below(40000) : random_below(largest);
            too_large |= length + 72 > options.ring_bytes / 2 - 8;
            const struct made made = {.flow_id = i == 0 || new_flow || random_below(10) ? flow : 0,
                                      .time = begin + i,
                                      .captured = length,
                                      .original = length,
                                      .link_type = 1,
                                      .host = (uint8_t)flow};
            give_made(lab, &made);
            if (i != at) continue;
            struct alert alert = an_alert(begin + i);
            char who[32];
            bool by_host = random_below(3) == 0;
            snprintf(who, sizeof who, "192.168.1.%u", (unsigned)flow);
            alert.who = who;
            const char *kept = recall_alert(lab->recall, &alert, by_host ? 0 : flow);
            assert_non_null(kept);
            snprintf(path, sizeof path, "%s", kept);
            chosen = by_host ? 0 : flow;
            host = by_host ? (uint32_t)flow : 0;
        }
        recall_free(lab->recall);
        lab->recall = NULL;
        uint32_t count = 0;
        for (uint32_t i = 0; i < packets; i++) {
            const struct made *made = &lab->made[i];
            bool wanted = chosen ? made->flow_id == chosen : made->host == host || host == 1;
            /* what never fits into the ring is only seen behind the alert */
            bool fits = i > at || made->captured + 72u <= options.ring_bytes / 2 - 8;
            if (wanted && fits) expected[count++] = i;
        }
        if (access(path, F_OK) != 0) { /* nothing of it was there */
            clear_folder(lab->alerts);
            continue;
        }
        uint32_t got = read_numbers(lab, path, numbers);
        assert_true(got <= count);
        for (uint32_t i = 0; i < got; i++) assert_int_equal(numbers[i], expected[count - got + i]);
        if (got < count) { /* the first that is missing was pushed out by what came up to the alert */
            uint64_t since = 0;
            uint32_t lost = expected[count - got - 1];
            assert_true(lost <= at);
            for (uint32_t i = lost; i <= at; i++) since += (lab->made[i].captured + 72 + 7) & ~7u;
            assert_true(since + 40000 + 72 > options.ring_bytes);
        }
        bool says = strstr(comments_of(path, SECTION), "missing:") != NULL;
        if (chosen && !too_large) assert_int_equal(says, got < count);
        without_begin += got < count;
        with_begin += got == count;
        clear_folder(lab->alerts);
    }
    assert_true(without_begin > 10 && with_begin > 10); /* both were tried */
}

int main(void) {
#define LAB_TEST(name) cmocka_unit_test_setup_teardown(name, lab_setup, lab_teardown)
    const struct CMUnitTest tests[] = {
        LAB_TEST(packets_come_back_as_they_were),
        LAB_TEST(the_alert_is_the_comment),
        LAB_TEST(windows_are_of_packet_time),
        LAB_TEST(a_silent_flow_is_kept_from_its_last_packet),
        LAB_TEST(an_alert_may_come_before_its_packet),
        LAB_TEST(a_second_alert_is_a_comment),
        LAB_TEST(an_alert_without_a_flow_takes_its_host),
        LAB_TEST(a_file_has_a_bound),
        LAB_TEST(files_at_once_and_a_second_have_a_bound),
        LAB_TEST(only_our_oldest_files_go),
        LAB_TEST(workers_share_a_folder),
        LAB_TEST(hostile_names_stay_in_the_folder),
        LAB_TEST(a_folder_that_cannot_be_is_told),
        LAB_TEST(a_full_disk_costs_files_and_nothing_else),
        LAB_TEST(any_ring_any_packets),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
