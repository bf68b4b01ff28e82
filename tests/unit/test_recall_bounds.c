/* Rolling capture has bounds, and keeps to them and to its folder whatever the disk refuses or an alert calls
 * itself. */
#include "recall_lab.h"

#include <sys/resource.h>

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
    char ours[150][64];
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

int main(void) {
    const struct CMUnitTest tests[] = {
        LAB_TEST(a_file_has_a_bound),
        LAB_TEST(files_at_once_and_a_second_have_a_bound),
        LAB_TEST(only_our_oldest_files_go),
        LAB_TEST(workers_share_a_folder),
        LAB_TEST(hostile_names_stay_in_the_folder),
        LAB_TEST(a_folder_that_cannot_be_is_told),
        LAB_TEST(a_full_disk_costs_files_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
