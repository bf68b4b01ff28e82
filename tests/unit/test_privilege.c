/* What is left after privileges were given up, seen from outside of it: in /proc, and by trying. Each try
 * happens in a forked child, since there is no way back. Most need root to begin with and are skipped, saying
 * so, without. */
#include "sensor/privilege.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#ifdef __linux__
#include "privilege_walk.h"
#include "sensor/control_socket.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/ethernet.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define FILTERED false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FILTERED false
#endif
#endif
#ifndef FILTERED
#define FILTERED true
#endif

static const char *const somebody = "nobody";

/* ---------------------------------------------------------------- in a child */

/* Runs `part` in a child and returns its wait status; its words go to stderr. */
static int in_child(int (*part)(void *context), void *context) {
    fflush(NULL);
    pid_t process = fork();
    assert_true(process >= 0);
    if (process == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        alarm(60);
        _exit(part(context));
    }
    int status;
    assert_int_equal(waitpid(process, &status, 0), process);
    return status;
}

static void expect_fine(int status) {
    if (WIFSIGNALED(status))
        fail_msg("killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static bool dropped(const struct privilege_options *options) {
    struct error err = {.text = ""};
    if (privilege_check(options, &err) == 0 && privilege_drop(options, NULL, 0, &err) == 0) return true;
    dprintf(STDERR_FILENO, "%s\n", err.text);
    return false;
}

/* A line of /proc/self/status, without its name. */
static bool status_line(const char *name, char *value, size_t size) {
    FILE *file = fopen("/proc/thread-self/status", "r");
    char line[512];
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file)) {
        size_t n = strlen(name);
        found = strncmp(line, name, n) == 0 && line[n] == ':';
        if (!found) continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(value, size, "%s", line + n + 1 + strspn(line + n + 1, "\t "));
        for (size_t end = strlen(value); end > 0 && value[end - 1] == ' ';) value[--end] = 0;
    }
    if (file) fclose(file);
    return found;
}

static bool status_is(const char *name, const char *wanted) {
    char value[512];
    if (status_line(name, value, sizeof value) && strcmp(value, wanted) == 0) return true;
    dprintf(STDERR_FILENO, "%s is \"%s\", not \"%s\"\n", name, value, wanted);
    return false;
}

static const char NOTHING[] = "0000000000000000", NET_RAW[] = "0000000000002000"; /* bit 13 */

static bool is_root(void) {
    return geteuid() == 0 && capng_get_caps_process() == 0 &&
           capng_have_capability(CAPNG_EFFECTIVE, CAP_SETUID) &&
           capng_have_capability(CAPNG_EFFECTIVE, CAP_SETGID) &&
           capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_RAW);
}

static void need_root(void) {
    if (is_root()) return;
    print_message("skipped: needs root\n");
    skip();
}

static void need_filter(void) {
    need_root();
    if (FILTERED) return;
    print_message("skipped: no filter under a sanitizer\n");
    skip();
}

/* ---------------------------------------------------------------- who is left */

static int be_somebody(void *context) {
    (void)context;
    const struct passwd *entry = getpwnam(somebody);
    MUST(entry);
    char uids[128], gids[128];
    unsigned uid = entry->pw_uid, gid = entry->pw_gid;
    snprintf(uids, sizeof uids, "%u\t%u\t%u\t%u", uid, uid, uid, uid);
    snprintf(gids, sizeof gids, "%u\t%u\t%u\t%u", gid, gid, gid, gid);
    gid_t wanted[64];
    int count = 64;
    MUST(getgrouplist(somebody, entry->pw_gid, wanted, &count) >= 0);

    MUST(dropped(&(struct privilege_options){.user = somebody, .keep_capture = true, .filter_calls = true}));
    MUST(status_is("Uid", uids) && status_is("Gid", gids));
    gid_t groups[64];
    MUST(getgroups(64, groups) == count);
    MUST(memcmp(groups, wanted, (size_t)count * sizeof *groups) == 0);
    MUST(status_is("CapPrm", NET_RAW) && status_is("CapEff", NET_RAW) && status_is("CapInh", NOTHING));
    MUST(status_is("CapBnd", NOTHING) && status_is("CapAmb", NOTHING) && status_is("NoNewPrivs", "1"));
    MUST(status_is("Seccomp", FILTERED ? "2" : "0"));
    char text[128], expected[128];
    privilege_describe(text, sizeof text);
    snprintf(expected, sizeof expected, "user %s, cap_net_raw%s", somebody, FILTERED ? ", seccomp" : "");
    MUST(strcmp(text, expected) == 0);
    return 0;
}

static void the_user_is_somebody_with_one_capability(void **state) {
    (void)state;
    need_root();
    expect_fine(in_child(be_somebody, NULL));
}

static int be_a_number(void *context) {
    (void)context;
    MUST(dropped(&(struct privilege_options){.user = "424242"}));
    MUST(status_is("Uid", "424242\t424242\t424242\t424242") && status_is("Groups", "424242"));
    MUST(status_is("CapPrm", NOTHING) && status_is("CapEff", NOTHING) && status_is("Seccomp", "0"));
    MUST(socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EPERM);
    return 0;
}

static void a_number_without_a_name_will_do(void **state) {
    (void)state;
    need_root();
    expect_fine(in_child(be_a_number, NULL));
}

static int stay_root(void *context) {
    (void)context;
    MUST(dropped(&(struct privilege_options){.keep_capture = true, .filter_calls = true}));
    MUST(status_is("Uid", "0\t0\t0\t0") && status_is("CapPrm", NET_RAW) && status_is("CapEff", NET_RAW));
    MUST(status_is("CapBnd", NOTHING) && status_is("NoNewPrivs", "1"));
    return 0;
}

static void root_may_stay_root_with_one_capability(void **state) {
    (void)state;
    need_root();
    expect_fine(in_child(stay_root, NULL));
}

/* Without the filter, which would say no to anything of the kind: the kernel itself must. */
static int try_to_regain(void *context) {
    (void)context;
    MUST(dropped(&(struct privilege_options){.user = somebody, .keep_capture = true}));
    MUST(setuid(0) < 0 && errno == EPERM);
    MUST(seteuid(0) < 0 && setresuid(0, 0, 0) < 0 && setgid(0) < 0 && setgroups(0, NULL) < 0);
    MUST(capng_get_caps_process() == 0);
    capng_update(CAPNG_ADD, CAPNG_PERMITTED | CAPNG_EFFECTIVE, CAP_SYS_ADMIN);
    MUST(capng_apply(CAPNG_SELECT_CAPS) != 0);
    MUST(open("/etc/shadow", O_RDONLY) < 0);
    return 0;
}

static void root_cannot_be_had_back(void **state) {
    (void)state;
    need_root();
    expect_fine(in_child(try_to_regain, NULL));
}

static int capture_again(void *context) {
    (void)context;
    MUST(dropped(&(struct privilege_options){.user = somebody, .keep_capture = true, .filter_calls = true}));
    int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    MUST(fd >= 0);
    close(fd);
    return walk_capture();
}

static void interfaces_can_still_be_opened(void **state) {
    (void)state;
    need_root();
    expect_fine(in_child(capture_again, NULL));
}

static int supervise_then_drop(void *context) {
    (void)context;
    struct error err;
    MUST(privilege_reduce(&err) == 0);
    char held[64];
    MUST(status_line("CapEff", held, sizeof held));
    unsigned long long caps = strtoull(held, NULL, 16);
    for (int number = CAP_SYS_MODULE; number <= CAP_SYS_BOOT; number++) MUST(!(caps >> number & 1));
    MUST(caps >> CAP_KILL & 1);
    return be_somebody(NULL);
}

static void a_reduced_supervisor_can_still_start_a_sensor(void **state) {
    (void)state;
    need_root();
    expect_fine(in_child(supervise_then_drop, NULL));
}

/* -------------------------------------------------------- started without root */

static int be_plain(void *context) {
    (void)context;
    const struct passwd *entry = getpwnam(somebody);
    MUST(entry && setgroups(0, NULL) == 0 && setgid(entry->pw_gid) == 0 && setuid(entry->pw_uid) == 0);
    struct error err;
    struct privilege_options other = {.user = "root", .keep_capture = true};
    MUST(privilege_check(&other, &err) < 0 && err.usage && strstr(err.text, "root"));
    MUST(dropped(&(struct privilege_options){.user = somebody, .keep_capture = true, .filter_calls = true}));
    MUST(status_is("CapPrm", NOTHING) && status_is("NoNewPrivs", "1"));
    return 0;
}

static void a_plain_user_has_nothing_to_give_up(void **state) {
    (void)state;
    need_root();
    expect_fine(in_child(be_plain, NULL));
}

/* The program again, as somebody who was given the capability by its file or its parent: see main. */
static int be_given_capture(void) {
    char uid[64];
    MUST(geteuid() != 0 && status_line("Uid", uid, sizeof uid));
    char held[64];
    MUST(status_line("CapEff", held, sizeof held) && strtoull(held, NULL, 16) >> CAP_NET_RAW & 1);
    MUST(dropped(&(struct privilege_options){.keep_capture = true, .filter_calls = true}));
    MUST(status_is("Uid", uid) && status_is("CapPrm", NET_RAW) && status_is("CapEff", NET_RAW));
    MUST(status_is("CapAmb", NOTHING) && status_is("CapInh", NOTHING));
    int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    MUST(fd >= 0);
    return 0;
}

static int run_given_capture(void *program) {
    const struct passwd *entry = getpwnam(somebody);
    MUST(entry && setgroups(0, NULL) == 0 && setgid(entry->pw_gid) == 0 && setuid(entry->pw_uid) == 0);
    execl(program, program, "given-capture", NULL);
    MUST(!"execl");
    return 1;
}

static int copy_own_program(int to) {
    int from = open("/proc/self/exe", O_RDONLY);
    char block[65536];
    ssize_t n;
    while ((n = read(from, block, sizeof block)) > 0)
        if (write(to, block, (size_t)n) != n) return -1;
    close(from);
    return n < 0 ? -1 : 0;
}

/* In a container root itself may lack what these give away; then nobody can be given it. */
static void need_capability(unsigned capability) {
    capng_clear(CAPNG_SELECT_BOTH);
    capng_get_caps_process();
    if (capng_have_capability(CAPNG_BOUNDING_SET, capability) &&
        capng_have_capability(CAPNG_PERMITTED, capability))
        return;
    print_message("skipped: root lacks %s here\n", capng_capability_to_name(capability));
    skip();
}

static void a_file_capability_will_do(void **state) {
    (void)state;
    need_root();
    need_capability(CAP_NET_RAW);
    need_capability(CAP_NET_ADMIN);
    char folder[] = "/tmp/lunette-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chmod(folder, 0755), 0);
    snprintf(path, sizeof path, "%s/program", folder);
    int copy = open(path, O_RDWR | O_CREAT | O_EXCL, 0755);
    assert_int_equal(copy_own_program(copy), 0);
    assert_int_equal(fchmod(copy, 0755), 0);
    capng_clear(CAPNG_SELECT_BOTH);
    capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_RAW, CAP_NET_ADMIN, -1);
    int given = capng_apply_caps_fd(copy);
    struct statvfs mounted;
    fstatvfs(copy, &mounted);
    close(copy);
    bool possible = given == 0 && !(mounted.f_flag & ST_NOSUID);
    int status = possible ? in_child(run_given_capture, path) : 0;
    unlink(path);
    rmdir(folder);
    if (!possible) {
        print_message("skipped: no file capabilities on this file system\n");
        skip();
    }
    expect_fine(status);
}

static int run_with_ambient(void *context) {
    (void)context;
    const struct passwd *entry = getpwnam(somebody);
    MUST(entry && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0);
    MUST(setgroups(0, NULL) == 0 && setgid(entry->pw_gid) == 0 && setuid(entry->pw_uid) == 0);
    capng_clear(CAPNG_SELECT_CAPS);
    capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE, CAP_NET_RAW,
                  CAP_NET_ADMIN, -1);
    MUST(capng_apply(CAPNG_SELECT_CAPS) == 0);
    MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0) == 0);
    MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0) == 0);
    /* By descriptor: the folder that the program is in may be closed to somebody. */
    execl("/proc/self/exe", "test_privilege", "given-capture", NULL);
    MUST(!"execl");
    return 1;
}

static void ambient_capabilities_will_do(void **state) {
    (void)state;
    need_root();
    need_capability(CAP_NET_RAW);
    need_capability(CAP_NET_ADMIN);
    expect_fine(in_child(run_with_ambient, NULL));
}

static void an_unknown_user_is_told_early(void **state) {
    (void)state;
    struct error err;
    struct privilege_options options = {.user = "no such user"};
    assert_int_equal(privilege_check(&options, &err), -1);
    assert_true(err.usage);
    assert_non_null(strstr(err.text, "no such user"));
}

/* -------------------------------------------------------------------- folders */

static char scene[] = "/tmp/lunette-test-XXXXXX";

static const char *in_scene(const char *name) {
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", scene, name);
    return path;
}

static uid_t owner(const char *name) {
    struct stat facts;
    return stat(in_scene(name), &facts) == 0 ? facts.st_uid : (uid_t)-1;
}

static int drop_with_folder(void *context) {
    const char *name = context;
    struct error err = {.text = ""};
    const char *folders[] = {in_scene(name)};
    struct privilege_options options = {.user = somebody, .filter_calls = true};
    if (privilege_drop(&options, folders, 1, &err) < 0) return strstr(err.text, folders[0]) ? 2 : 3;
    char path[256];
    snprintf(path, sizeof path, "%s/mine", folders[0]);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    MUST(fd >= 0);
    return 0;
}

static void folders_are_given_with_care(void **state) {
    (void)state;
    need_root();
    static const char *const names[] = {"empty", "used", "open", "target"};
    const uid_t uid = getpwnam(somebody)->pw_uid;
    assert_non_null(mkdtemp(scene));
    chmod(scene, 0755);
    for (size_t i = 0; i < 4; i++) assert_int_equal(mkdir(in_scene(names[i]), 0755), 0);
    close(open(in_scene("used/something"), O_WRONLY | O_CREAT, 0644));
    chmod(in_scene("open"), 01777); /* as /tmp */
    assert_int_equal(symlink("target", in_scene("link")), 0);

    assert_int_equal(WEXITSTATUS(in_child(drop_with_folder, "empty")), 0);
    assert_int_equal(owner("empty"), uid);
    assert_int_equal(WEXITSTATUS(in_child(drop_with_folder, "made")), 0);
    assert_int_equal(owner("made"), uid);
    assert_int_equal(WEXITSTATUS(in_child(drop_with_folder, "used")), 2);
    assert_int_equal(owner("used"), 0);
    assert_int_equal(owner("used/something"), 0);
    assert_int_equal(WEXITSTATUS(in_child(drop_with_folder, "link")), 2);
    assert_int_equal(owner("target"), 0);
    assert_int_equal(WEXITSTATUS(in_child(drop_with_folder, "open")), 0);
    assert_int_equal(owner("open"), 0);

    static const char *const files[] = {"empty/mine", "made/mine", "open/mine", "used/something", "link"};
    for (size_t i = 0; i < 5; i++) assert_int_equal(unlink(in_scene(files[i])), 0);
    for (size_t i = 0; i < 4; i++) assert_int_equal(rmdir(in_scene(names[i])), 0);
    assert_int_equal(rmdir(in_scene("made")), 0);
    assert_int_equal(rmdir(scene), 0);
}

static int socket_at(const char *path, uid_t owner, bool listens) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%.*s", (int)sizeof address.sun_path - 1, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(chown(path, owner, (gid_t)-1), 0);
    if (listens) assert_int_equal(listen(fd, 1), 0);
    return fd;
}

/* Who runs the sensor changes: the folder goes along, with the socket that the last one left there. */
static int drop_and_listen(void *context) {
    char **words = context; /* user or NULL, folder */
    char path[256];
    struct error err = {.text = ""};
    struct privilege_options options = {.user = words[0], .filter_calls = true};
    const char *folders[] = {words[1]};
    if (privilege_drop(&options, folders, 1, &err) < 0) {
        dprintf(STDERR_FILENO, "%s\n", err.text);
        return strstr(err.text, words[1]) ? 2 : 3;
    }
    snprintf(path, sizeof path, "%s/control.sock", words[1]);
    struct control_socket opened;
    if (control_socket_open(&opened, path, &err) == 0) return 0;
    dprintf(STDERR_FILENO, "%s\n", err.text);
    return 4;
}

static void a_folder_follows_the_sensors_user(void **state) {
    (void)state;
    need_root();
    const uid_t uid = getpwnam(somebody)->pw_uid;
    char folder[] = "/tmp/lunette-test-XXXXXX", base[64], run[96], path[128], note[128];
    assert_non_null(mkdtemp(folder));
    snprintf(base, sizeof base, "%s", folder);
    chmod(base, 0755);
    snprintf(run, sizeof run, "%s/run", base);
    snprintf(path, sizeof path, "%s/control.sock", run);
    snprintf(note, sizeof note, "%s/note", run);
    assert_int_equal(mkdir(run, 0700), 0);
    struct stat facts;
    char *as_nobody[] = {"nobody", run}, *as_root[] = {NULL, run};

    int live = socket_at(path, 0, true); /* one that runs keeps its folder */
    assert_int_equal(WEXITSTATUS(in_child(drop_and_listen, as_nobody)), 2);
    close(live); /* and was killed: nobody takes over, then root again, then nobody */
    for (int turn = 0; turn < 3; turn++) {
        char **as = turn % 2 ? as_root : as_nobody;
        assert_int_equal(WEXITSTATUS(in_child(drop_and_listen, as)), 0);
        assert_true(stat(run, &facts) == 0 && facts.st_uid == (turn % 2 ? 0 : uid));
    }
    close(open(note, O_WRONLY | O_CREAT, 0600)); /* something of somebody's stays where it is */
    assert_int_equal(chown(note, 12345, (gid_t)-1), 0);
    assert_int_equal(WEXITSTATUS(in_child(drop_and_listen, as_root)), 2);
    assert_int_equal(chown(run, 0, 0), 0);
    assert_int_equal(WEXITSTATUS(in_child(drop_and_listen, as_nobody)), 2);
    assert_int_equal(chown(note, uid, (gid_t)-1), 0); /* the user's own files come with the folder */
    assert_int_equal(WEXITSTATUS(in_child(drop_and_listen, as_nobody)), 0);
    assert_true(stat(run, &facts) == 0 && facts.st_uid == uid);
    unlink(path);
    unlink(note);
    rmdir(run);
    assert_int_equal(rmdir(base), 0);
}

static int drop_with_a_shut_folder(void *context) {
    char **folders = context;
    struct error err = {.text = ""};
    struct privilege_options options = {.user = somebody};
    const char *both[] = {folders[0], folders[1]};
    MUST(privilege_drop(&options, both, 2, &err) < 0);
    MUST(strstr(err.text, "user nobody cannot write to the folder") &&
         strstr(err.text, "it holds files of others"));
    return 0;
}

static void a_failed_start_leaves_no_folder_behind(void **state) {
    (void)state;
    need_root();
    char base[] = "/tmp/lunette-test-XXXXXX", made[64], used[64], file[96];
    assert_non_null(mkdtemp(base));
    chmod(base, 0755);
    snprintf(made, sizeof made, "%s/made", base);
    snprintf(used, sizeof used, "%s/used", base);
    snprintf(file, sizeof file, "%s/file", used);
    assert_int_equal(mkdir(used, 0755), 0);
    close(open(file, O_WRONLY | O_CREAT, 0644));
    expect_fine(in_child(drop_with_a_shut_folder, (char *[]){made, used}));
    assert_int_equal(access(made, F_OK), -1);
    unlink(file);
    rmdir(used);
    assert_int_equal(rmdir(base), 0);
}

/* --------------------------------------------------------------------- filter */

static const struct privilege_options filtered = {
    .user = "nobody", .keep_capture = true, .filter_calls = true};

struct call {
    const char *name;
    long number, arguments[4];
};

static int make_call(void *context) {
    const struct call *call = context;
    MUST(dropped(&filtered));
    syscall(call->number, call->arguments[0], call->arguments[1], call->arguments[2], call->arguments[3]);
    return 1;
}

static void an_attackers_calls_are_fatal(void **state) {
    (void)state;
    need_filter();
    static const char program[] = "/bin/true";
    const struct call calls[] = {
        {"execve", SYS_execve, {(long)program, 0, 0, 0}},
        {"execveat", SYS_execveat, {AT_FDCWD, (long)program, 0, 0}},
        {"ptrace", SYS_ptrace, {PTRACE_TRACEME, 0, 0, 0}},
        {"process_vm_readv", SYS_process_vm_readv, {1, 0, 0, 0}},
        {"mount", SYS_mount, {(long)"none", (long)"/mnt", (long)"tmpfs", 0}},
        {"umount2", SYS_umount2, {(long)"/", MNT_DETACH, 0, 0}},
        {"init_module", SYS_init_module, {0, 0, 0, 0}},
        {"kexec_load", SYS_kexec_load, {0, 0, 0, 0}},
        {"bpf", SYS_bpf, {0, 0, 0, 0}},
        {"perf_event_open", SYS_perf_event_open, {0, 0, 0, 0}},
        {"userfaultfd", SYS_userfaultfd, {0, 0, 0, 0}},
        {"keyctl", SYS_keyctl, {0, 0, 0, 0}},
        {"unshare", SYS_unshare, {CLONE_NEWUSER, 0, 0, 0}},
        {"setns", SYS_setns, {0, 0, 0, 0}},
        {"chroot", SYS_chroot, {(long)"/", 0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        int status = in_child(make_call, (void *)&calls[i]);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
            fail_msg("%s: wait status %x instead of SIGSYS", calls[i].name, status);
    }
}

static int refused_calls(void *context) {
    (void)context;
    pid_t parent = getppid();
    MUST(dropped(&filtered));
    MUST(fork() < 0 && errno == EPERM);
    MUST(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) < 0 && errno == EPERM);
    MUST(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) < 0);
    MUST(syscall(SYS_clone, 1L << 32 | SIGCHLD, 0, 0, 0, 0) < 0);
    MUST(syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS);
    MUST(syscall(425 /* io_uring_setup */, 1, NULL) < 0 && errno == ENOSYS);
    MUST(syscall(1000000) < 0 && errno == ENOSYS);
    MUST(socket(AF_BLUETOOTH, SOCK_RAW, 0) < 0 && errno == EAFNOSUPPORT);
    MUST(socket(44 /* AF_XDP */, SOCK_RAW, 0) < 0 && errno == EAFNOSUPPORT);
    MUST(socket(AF_VSOCK, SOCK_STREAM, 0) < 0 && errno == EAFNOSUPPORT);
    MUST(kill(parent, 0) < 0 && errno != ESRCH);
    MUST(kill(-1, 0) < 0);
    MUST(syscall(SYS_ioctl, 0, TIOCSTI, "x") < 0 && errno == ENOSYS);
    MUST(syscall(SYS_ioctl, 0, 1L << 32 | TIOCSTI, "x") < 0 && errno == ENOSYS);
    struct rlimit limit;
    MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    MUST(setrlimit(RLIMIT_NOFILE, &limit) < 0 && errno == EPERM);
    MUST(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0);
    MUST(chown("/tmp", 1, 1) < 0 && errno == EPERM);
    return 0;
}

static void what_is_not_needed_is_refused(void **state) {
    (void)state;
    need_filter();
    expect_fine(in_child(refused_calls, NULL));
}

static int walk(void *context) {
    int (*part)(void) = *(int (**)(void))context;
    MUST(dropped(&filtered));
    return part();
}

static void walk_through(int (*part)(void)) {
    need_root();
    expect_fine(in_child(walk, &part));
}

static void scripts_are_compiled(void **state) {
    (void)state;
    walk_through(walk_lua);
}

static void threads_start_and_are_signalled(void **state) {
    (void)state;
    walk_through(walk_threads);
}

static void files_are_kept(void **state) {
    (void)state;
    walk_through(walk_files);
}

static void names_are_looked_up_and_sockets_served(void **state) {
    (void)state;
    walk_through(walk_sockets);
}

static void libuv_runs(void **state) {
    (void)state;
    walk_through(walk_loop);
}

static void libmicrohttpd_serves(void **state) {
    (void)state;
    walk_through(walk_http);
}

static void libpcap_captures(void **state) {
    (void)state;
    walk_through(walk_capture);
}

static int abort_filtered(void *context) {
    (void)context;
    MUST(dropped(&filtered));
    abort();
}

static void it_can_still_abort(void **state) {
    (void)state;
    need_filter();
    int status = in_child(abort_filtered, NULL);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(int count, char **words) {
    if (count == 2 && strcmp(words[1], "given-capture") == 0) return be_given_capture();
    if (count == 2) cmocka_set_test_filter(words[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_user_is_somebody_with_one_capability),
        cmocka_unit_test(a_number_without_a_name_will_do),
        cmocka_unit_test(root_may_stay_root_with_one_capability),
        cmocka_unit_test(root_cannot_be_had_back),
        cmocka_unit_test(interfaces_can_still_be_opened),
        cmocka_unit_test(a_reduced_supervisor_can_still_start_a_sensor),
        cmocka_unit_test(a_plain_user_has_nothing_to_give_up),
        cmocka_unit_test(a_file_capability_will_do),
        cmocka_unit_test(ambient_capabilities_will_do),
        cmocka_unit_test(an_unknown_user_is_told_early),
        cmocka_unit_test(folders_are_given_with_care),
        cmocka_unit_test(a_folder_follows_the_sensors_user),
        cmocka_unit_test(a_failed_start_leaves_no_folder_behind),
        cmocka_unit_test(an_attackers_calls_are_fatal),
        cmocka_unit_test(what_is_not_needed_is_refused),
        cmocka_unit_test(scripts_are_compiled),
        cmocka_unit_test(threads_start_and_are_signalled),
        cmocka_unit_test(files_are_kept),
        cmocka_unit_test(names_are_looked_up_and_sockets_served),
        cmocka_unit_test(libuv_runs),
        cmocka_unit_test(libmicrohttpd_serves),
        cmocka_unit_test(libpcap_captures),
        cmocka_unit_test(it_can_still_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void) {
    (void)print_message;
    return 77; /* Linux only */
}

#endif
