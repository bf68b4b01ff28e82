/* Files of records: nothing lost and no half lines, through rotation, other people's renames and full disks.
 */
#include "receive.h"

#include "output/record_file.h"

#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#endif

struct listing {
    char names[64][128];
    int count;
};

static int compare_names(const void *a, const void *b) {
    return strcmp(a, b);
}

/* The rotated files of "eve.json", oldest first as long as none has a number with two digits. */
static struct listing old_files(void) {
    struct listing found = {.count = 0};
    DIR *listing = opendir(folder);
    for (struct dirent *entry; (entry = readdir(listing));)
        if (strncmp(entry->d_name, "eve.json-", 9) == 0 && found.count < 64)
            snprintf(found.names[found.count++], sizeof found.names[0], "%.120s", entry->d_name);
    closedir(listing);
    qsort(found.names, (size_t)found.count, sizeof found.names[0], compare_names);
    return found;
}

static struct record_file *open_file(struct record_file_options options) {
    struct error err = {.text = ""};
    struct record_file *f = record_file_open(in_folder("eve.json"), &options, &err);
    if (!f) fail_msg("%s", err.text);
    return f;
}

static void write_to(struct record_file *f, int from, int count, int64_t now) {
    struct buffer b = {0};
    int failure;
    put_lines(&b, from, count);
    assert_int_equal(record_file_write(f, b.at, b.length, now, &failure), b.length);
    assert_int_equal(failure, 0);
    buffer_free(&b);
}

static void a_file_that_is_large_enough_makes_way(void **state) {
    (void)state;
    struct record_file *f = open_file((struct record_file_options){.rotate_bytes = 10 * LINE + 50});
    for (int i = 0; i < 5; i++) write_to(f, i * 9, 9, 1000 + i); /* one file a second, told by the test */
    record_file_close(f);
    struct listing old = old_files();
    assert_int_equal(old.count, 4);
    assert_string_equal(old.names[0], "eve.json-19700101T001641Z");
    struct buffer all = {0};
    for (int i = 0; i < old.count; i++) {
        size_t before = all.length;
        read_file(in_folder(old.names[i]), &all);
        assert_int_equal(all.length - before, 10 * LINE);
    }
    read_file(in_folder("eve.json"), &all);
    expect_lines(&all, 0, 45);
    buffer_free(&all);
}

static void names_that_are_taken_get_a_number(void **state) {
    (void)state;
    struct record_file *f = open_file((struct record_file_options){.rotate_bytes = LINE});
    write_to(f, 0, 4, 86400);
    record_file_close(f);
    struct listing old = old_files();
    assert_int_equal(old.count, 3);
    assert_string_equal(old.names[0], "eve.json-19700102T000000Z");
    assert_string_equal(old.names[1], "eve.json-19700102T000000Z-1");
    assert_string_equal(old.names[2], "eve.json-19700102T000000Z-2");
}

static void only_the_newest_are_kept(void **state) {
    (void)state;
    close(open(in_folder("eve.json-notes"), O_CREAT | O_WRONLY, 0600)); /* not ours to remove */
    struct record_file *f = open_file((struct record_file_options){.rotate_bytes = LINE, .rotate_keep = 11});
    write_to(f, 0, 30, 86400);
    write_to(f, 30, 3, 86401);
    record_file_close(f);
    struct listing old = old_files();
    assert_int_equal(old.count, 12);
    assert_int_equal(access(in_folder("eve.json-notes"), F_OK), 0);
    assert_int_equal(access(in_folder("eve.json-19700102T000000Z-28"), F_OK), 0);
    assert_int_equal(access(in_folder("eve.json-19700102T000000Z-9"), F_OK), -1);
}

static void a_line_longer_than_the_bound_is_written(void **state) {
    (void)state;
    struct record_file *f = open_file((struct record_file_options){.rotate_bytes = LINE / 2});
    write_to(f, 0, 3, 5);
    record_file_close(f);
    assert_int_equal(old_files().count, 2);
}

static void an_hour_is_an_hour_of_the_clock(void **state) {
    (void)state;
    struct error err;
    int64_t now = (int64_t)time(NULL), hour = (now / 3600 + 1) * 3600;
    struct record_file *f = open_file((struct record_file_options){.rotate_seconds = 3600});
    assert_int_equal(record_file_next(f), hour);
    write_to(f, 0, 1, hour - 1);
    assert_int_equal(record_file_age(f, hour - 1, &err), 0);
    assert_int_equal(old_files().count, 0);
    assert_int_equal(record_file_age(f, hour, &err), 0); /* nobody writes: it is rotated all the same */
    assert_int_equal(old_files().count, 1);
    assert_int_equal(record_file_next(f), hour + 3600);
    assert_int_equal(record_file_age(f, hour + 3600, &err), 0); /* an empty one stays */
    assert_int_equal(old_files().count, 1);
    record_file_close(f);
}

static void an_old_file_found_at_the_start_is_rotated(void **state) {
    (void)state;
    struct record_file *f = open_file((struct record_file_options){0});
    write_to(f, 0, 1, 0);
    record_file_close(f);
    struct timespec then[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, in_folder("eve.json"), then, 0), 0);
    f = open_file((struct record_file_options){.rotate_seconds = 3600});
    write_to(f, 1, 1, (int64_t)time(NULL));
    record_file_close(f);
    assert_int_equal(old_files().count, 1);
}

/* ── through the receiver, live ──────────────────────────────────── */

static struct receiver *open_live(struct receiver_options options) {
    options.live = true;
    return open_receiver(in_folder("eve.json"), options);
}

static void a_call_begins_a_new_file(void **state) {
    (void)state;
    struct receiver *r = open_live((struct receiver_options){0});
    write_lines(r, 0, 10);
    wait_until(figures_of(r).lines == 10);
    receiver_rotate(r);
    wait_until(old_files().count == 1);
    write_lines(r, 10, 5);
    assert_int_equal(receiver_close(r, GIVE_UP_SECONDS, NULL), 0);
    struct buffer all = {0};
    read_file(in_folder(old_files().names[0]), &all);
    expect_lines(&all, 0, 10);
    read_file(in_folder("eve.json"), &all);
    expect_lines(&all, 0, 15);
    buffer_free(&all);
}

static void a_file_that_was_moved_away_is_opened_anew(void **state) {
    (void)state;
    struct receiver *r = open_live((struct receiver_options){0});
    write_lines(r, 0, 10);
    wait_until(figures_of(r).lines == 10);
    assert_int_equal(rename(in_folder("eve.json"), in_folder("moved")), 0);
    receiver_rotate(r);
    wait_until(access(in_folder("eve.json"), F_OK) == 0);
    write_lines(r, 10, 5);
    assert_int_equal(receiver_close(r, GIVE_UP_SECONDS, NULL), 0);
    struct buffer all = {0};
    read_file(in_folder("moved"), &all);
    expect_lines(&all, 0, 10);
    read_file(in_folder("eve.json"), &all);
    expect_lines(&all, 0, 15);
    assert_int_equal(old_files().count, 0);
    buffer_free(&all);
}

/* Moved, it is written until it is rotated; deleted, it would be written for nobody. */
static void a_file_that_was_deleted_is_made_anew(void **state) {
    (void)state;
    struct receiver *r = open_live((struct receiver_options){0});
    write_lines(r, 0, 10);
    wait_until(figures_of(r).lines == 10);
    assert_int_equal(unlink(in_folder("eve.json")), 0);
    wait_until(access(in_folder("eve.json"), F_OK) == 0); /* nobody had to write */
    write_lines(r, 10, 5);
    assert_int_equal(receiver_close(r, GIVE_UP_SECONDS, NULL), 0);
    struct buffer all = {0};
    read_file(in_folder("eve.json"), &all);
    expect_lines(&all, 10, 5);
    assert_int_equal(old_files().count, 0);
    buffer_free(&all);
}

static void a_file_that_was_moved_is_not_made_anew(void **state) {
    (void)state;
    struct record_file *f = open_file((struct record_file_options){0});
    write_to(f, 0, 10, 1000);
    assert_int_equal(rename(in_folder("eve.json"), in_folder("moved")), 0);
    record_file_look(f, 1001);
    write_to(f, 10, 5, 1001);
    assert_int_equal(access(in_folder("eve.json"), F_OK), -1);
    assert_int_equal(unlink(in_folder("moved")), 0);
    record_file_look(f, 1001); /* once a second is enough */
    assert_int_equal(access(in_folder("eve.json"), F_OK), -1);
    record_file_look(f, 1002);
    assert_int_equal(access(in_folder("eve.json"), F_OK), 0);
    record_file_close(f);
}

static void two_sensors_do_not_write_one_file(void **state) {
    (void)state;
    struct error err = {.text = ""};
    struct receiver *r = open_live((struct receiver_options){0});
    write_lines(r, 0, 10);
    wait_until(figures_of(r).lines == 10);
    receiver_rotate(r); /* the new file is locked as well */
    write_lines(r, 10, 1);
    wait_until(figures_of(r).lines == 11);
    assert_int_equal(old_files().count, 1);
    assert_int_equal(symlink("eve.json", in_folder("link")), 0);
    static const char *const names[] = {"eve.json", "link"};
    for (size_t i = 0; i < 2; i++) {
        assert_null(receiver_open(in_folder(names[i]), &(struct receiver_options){.live = true}, &err));
        assert_non_null(strstr(err.text, names[i]));
        assert_false(err.usage);
    }
    struct receiver *replay = open_receiver(in_folder("eve.json"), (struct receiver_options){.live = false});
    assert_int_equal(receiver_close(replay, 0, NULL), 0);
    assert_int_equal(receiver_close(r, GIVE_UP_SECONDS, NULL), 0);
    r = open_live((struct receiver_options){0}); /* it is free again */
    assert_int_equal(receiver_close(r, GIVE_UP_SECONDS, NULL), 0);
}

/* ── full disks ──────────────────────────────────────────────────── */

static void expect_whole_lines(const char *path) {
    struct buffer all = {0};
    read_file(path, &all);
    assert_int_equal(all.length % LINE, 0);
    expect_some(&all);
    buffer_free(&all);
}

static struct rlimit limit_files(rlim_t bytes) {
    struct rlimit before, now;
    getrlimit(RLIMIT_FSIZE, &before);
    now = before;
    now.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
    return before;
}

static void what_finds_no_place_waits_and_is_written_later(void **state) {
    (void)state;
    struct rlimit before = limit_files(50 * LINE + 33); /* full in the middle of a line */
    struct receiver *r = open_live((struct receiver_options){0});
    trickle_lines(r, 0, 300);
    wait_until(!figures_of(r).healthy);
    expect_whole_lines(in_folder("eve.json"));
    assert_true(figures_of(r).trouble[0] != '\0');
    assert_int_equal(figures_of(r).lost, 0);
    setrlimit(RLIMIT_FSIZE, &before);
    wait_until(figures_of(r).lines == 300);
    assert_true(figures_of(r).healthy);
    assert_int_equal(receiver_close(r, GIVE_UP_SECONDS, NULL), 0);
    struct buffer all = {0};
    read_file(in_folder("eve.json"), &all);
    expect_lines(&all, 0, 300);
    buffer_free(&all);
}

static void beyond_the_queue_lines_are_lost_whole_and_counted(void **state) {
    (void)state;
    struct rlimit before = limit_files(50 * LINE + 33);
    struct receiver *r = open_live((struct receiver_options){.queue_bytes = 5000});
    int sent = 0;
    while (figures_of(r).healthy &&
           sent < 10000000) { /* until the disk is full, however the threads take turns */
        trickle_lines(r, sent, 100);
        sent += 100;
    }
    trickle_lines(r, sent, 20000); /* returns all the same */
    sent += 20000;
    setrlimit(RLIMIT_FSIZE, &before);
    wait_until(figures_of(r).healthy);
    wait_until(figures_of(r).lines + figures_of(r).lost == (uint64_t)sent); /* there is room again */
    uint64_t lost = figures_of(r).lost;
    assert_true(lost > 0);
    write_lines(r, sent, 1);
    struct error err;
    assert_int_equal(receiver_close(r, GIVE_UP_SECONDS, &err), -1); /* it says that lines were lost */
    struct buffer all = {0};
    read_file(in_folder("eve.json"), &all);
    assert_int_equal((uint64_t)expect_some(&all) + lost, (uint64_t)sent + 1);
    buffer_free(&all);
}

#ifdef __linux__
static void a_small_file_system_of_its_own(void **state) {
    (void)state;
    char place[128];
    snprintf(place, sizeof place, "%s/disk", folder);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) skip();
    assert_int_equal(mkdir(place, 0700), 0);
    if (mount("tmpfs", place, "tmpfs", 0, "size=64k") != 0) skip();
    char path[160], other[160];
    snprintf(path, sizeof path, "%s/eve.json", place);
    snprintf(other, sizeof other, "%s/other", place);
    int fd = open(other, O_CREAT | O_WRONLY, 0600);
    char block[4096] = {1};
    for (int i = 0; i < 8; i++) assert_int_equal(write(fd, block, sizeof block), sizeof block);
    close(fd);
    struct receiver *r = open_receiver(path, (struct receiver_options){.live = true});
    trickle_lines(r, 0, 500);
    wait_until(!figures_of(r).healthy);
    expect_whole_lines(path);
    assert_int_equal(unlink(other), 0);
    wait_until(figures_of(r).lines == 500);
    assert_int_equal(receiver_close(r, GIVE_UP_SECONDS, NULL), 0);
    struct buffer all = {0};
    read_file(path, &all);
    expect_lines(&all, 0, 500);
    buffer_free(&all);
    umount2(place, MNT_DETACH);
}
#endif

/* ── standard output and pipes ───────────────────────────────────── */

static void a_reader_who_does_not_read_stops_nobody(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct receiver_options options = {.live = true, .queue_bytes = 100000};
    struct receiver *r = receiver_open_descriptor(ends[1], "standard output", &options, NULL);
    trickle_lines(r, 0, 5000); /* far more than pipe and queue hold; returns */
    assert_true(figures_of(r).lost > 0);
    struct buffer all = {0};
    uint64_t kept = 5000 - figures_of(r).lost;
    read_more(ends[0], &all, (size_t)kept * LINE);
    assert_int_equal(expect_some(&all), kept);
    close(ends[0]);
    write_lines(r, 5000, 10); /* nobody will ever read it */
    wait_until(!figures_of(r).healthy);
    wait_until(figures_of(r).lost == 5010 - kept);
    assert_int_equal(receiver_close(r, 0, NULL), -1);
    close(ends[1]);
    buffer_free(&all);
}

static void a_pipe_that_nobody_reads_is_told_at_the_start(void **state) {
    (void)state;
    struct error err;
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    assert_null(receiver_open(in_folder("pipe"), &(struct receiver_options){.live = true}, &err));
    assert_non_null(strstr(err.text, "nobody reads"));
}

static void words_that_make_no_sense_are_wrong_use(void **state) {
    (void)state;
    static const char *const words[] = {"",
                                        "file:",
                                        "unix:",
                                        "tcp:host",
                                        "tcp:",
                                        "tcp:2001::1:80",
                                        "tcp:[::1]",
                                        "tcp:host:",
                                        "syslog:x",
                                        "syslog:udp:",
                                        "syslog:unix:",
                                        "udp:127.0.0.1:514",
                                        "upd:x",
                                        "http://host/",
                                        "tcp:h:0",
                                        "tcp:h:65536",
                                        "tcp:h:99999999999999999999",
                                        "tcp:h:http",
                                        "tcp:h:-1",
                                        "tcp:[::1]:0x50",
                                        "syslog:udp:h:514x",
                                        "syslog:tcp:h:0"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct error err = {.text = ""};
        assert_null(receiver_open(words[i], &(struct receiver_options){.live = true}, &err));
        assert_true(err.usage);
        assert_true(err.text[0]);
    }
    assert_string_equal(receiver_path("file:a:b"), "a:b");
    assert_string_equal(receiver_path("-"), "-");
    static const char *const files[] = {"./udp:x", "a/b:c", "eve.json:2", "File:x", "12:00"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        assert_string_equal(receiver_path(files[i]), files[i]);
    assert_null(receiver_path("udp:a:1"));
    assert_null(receiver_path("tcp:a:1"));
}

#define each(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void) {
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        each(a_file_that_is_large_enough_makes_way),
        each(names_that_are_taken_get_a_number),
        each(only_the_newest_are_kept),
        each(a_line_longer_than_the_bound_is_written),
        each(an_hour_is_an_hour_of_the_clock),
        each(an_old_file_found_at_the_start_is_rotated),
        each(a_call_begins_a_new_file),
        each(a_file_that_was_moved_away_is_opened_anew),
        each(a_file_that_was_deleted_is_made_anew),
        each(a_file_that_was_moved_is_not_made_anew),
        each(two_sensors_do_not_write_one_file),
        each(what_finds_no_place_waits_and_is_written_later),
        each(beyond_the_queue_lines_are_lost_whole_and_counted),
        each(a_reader_who_does_not_read_stops_nobody),
        each(a_pipe_that_nobody_reads_is_told_at_the_start),
        each(words_that_make_no_sense_are_wrong_use),
#ifdef __linux__
        each(a_small_file_system_of_its_own),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
