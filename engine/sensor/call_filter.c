/* A list of what is allowed, in four degrees:
 *
 *      allowed    what capture, scripts, outputs and the control socket do, and what libc does for them
 *      refused    "not permitted", for what a library may try and can do without
 *      fatal      what only an attacker would do in here: the process is killed, the supervisor reports it
 *      the rest   "no such call": libraries take it for an older kernel and go their older way. So a newer
 * libc, with calls that this list has never heard of, goes on working.
 *
 * The list was drawn from what strace showed of replay, of libpcap handles opened late, libuv, libmicrohttpd,
 * LuaJIT and getaddrinfo, and widened by each call's family: what glibc uses on other versions and
 * processors for the same purpose. tests/unit/test_privilege.c walks through all of it under the filter. */
#include "sensor/call_filter.h"

#ifdef __linux__

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

// clang-format off
/* By name, so that one list serves each processor: libseccomp says which it has. */
static const char *const allowed[] = {
    /* files */
    "read", "readv", "pread64", "preadv", "preadv2", "write", "writev", "pwrite64", "pwritev", "pwritev2",
    "lseek", "open", "openat", "openat2", "creat", "close", "close_range", "stat", "lstat", "fstat",
    "newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat", "faccessat2", "readlink", "readlinkat",
    "getdents", "getdents64", "getcwd", "mkdir", "mkdirat", "rmdir", "rename", "renameat", "renameat2",
    "unlink", "unlinkat", "link", "linkat", "symlink", "symlinkat", "chmod", "fchmod", "fchmodat",
    "fchmodat2", "umask", "truncate", "ftruncate", "fallocate", "fadvise64", "readahead", "fsync",
    "fdatasync", "sync_file_range", "msync", "flock", "fcntl", "dup", "dup2", "dup3", "pipe", "pipe2",
    "utime", "utimes", "utimensat", "futimesat", "sendfile", "copy_file_range", "splice", "inotify_init",
    "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
    /* waiting */
    "poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait",
    "epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2", "signalfd", "signalfd4", "timerfd_create",
    "timerfd_settime", "timerfd_gettime",
    /* sockets, whose families are below */
    "bind", "listen", "accept", "accept4", "connect", "getsockname", "getpeername", "getsockopt",
    "setsockopt", "sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "shutdown",
    /* memory; PROT_EXEC too, which LuaJIT's compiler lives by */
    "mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "mincore", "mlock", "mlock2", "munlock",
    "membarrier",
    /* threads and scheduling */
    "futex", "futex_waitv", "set_robust_list", "get_robust_list", "set_tid_address", "rseq", "gettid",
    "sched_yield", "sched_getaffinity", "sched_setaffinity", "sched_getparam", "sched_getscheduler",
    "sched_get_priority_max", "sched_get_priority_min", "getcpu", "getpriority", "exit", "exit_group",
    "arch_prctl",
    /* time */
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "times", "alarm",
    "getitimer", "setitimer", "timer_create", "timer_settime", "timer_gettime", "timer_getoverrun",
    "timer_delete",
    /* signals, to this process only: below */
    "rt_sigaction", "rt_sigprocmask", "rt_sigpending", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait",
    "sigaltstack", "restart_syscall", "pause",
    /* about ourselves and the machine */
    "getpid", "getppid", "getpgrp", "getpgid", "getsid", "getuid", "geteuid", "getgid", "getegid",
    "getresuid", "getresgid", "getgroups", "capget", "getrlimit", "getrusage", "sysinfo", "uname",
    "getrandom", "wait4", "waitid"};

static const char *const refused[] = {
    "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups",
    "capset", "chown", "fchown", "lchown", "fchownat", "mknod", "mknodat", "setrlimit", "setpriority",
    "sched_setscheduler", "sched_setparam", "sched_setattr", "setxattr", "lsetxattr", "fsetxattr", "fork",
    "vfork", "setsid", "setpgid", "chdir", "fchdir"};

static const char *const fatal[] = {
    "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd",
    "kcmp", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module",
    "mount", "umount", "umount2", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick",
    "mount_setattr", "pivot_root", "chroot", "bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key",
    "request_key", "unshare", "setns", "reboot", "swapon", "swapoff", "iopl", "ioperm", "modify_ldt", "acct",
    "quotactl", "quotactl_fd", "open_by_handle_at", "settimeofday", "clock_settime", "clock_adjtime",
    "adjtimex", "sethostname", "setdomainname", "vhangup", "migrate_pages", "move_pages", "uselib", "_sysctl"};
// clang-format on

static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET};

enum { HIGHEST_FAMILY = 63, SET_VMA = 0x53564d41 };

static int add_all(scmp_filter_ctx filter, uint32_t action, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int call = seccomp_syscall_resolve_name(names[i]);
        if (call < 0) continue; /* not on this processor, or newer than the library */
        int failed = seccomp_rule_add(filter, action, call, 0);
        if (failed) return failed;
    }
    return 0;
}

static struct scmp_arg_cmp masked(unsigned argument, uint64_t mask, uint64_t value) {
    return (struct scmp_arg_cmp){
        .arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}

/* Arguments are 64 bits wide here but an int to the kernel, which cuts them: so do we. */
static struct scmp_arg_cmp is_int(unsigned argument, uint64_t value) {
    return masked(argument, 0xffffffff, value);
}

static struct scmp_arg_cmp is_pointer(unsigned argument, enum scmp_compare how, uint64_t value) {
    return (struct scmp_arg_cmp){.arg = argument, .op = how, .datum_a = value, .datum_b = 0};
}

/* One call with a condition on an argument. */
static int add_when(scmp_filter_ctx filter, uint32_t action, int call, struct scmp_arg_cmp condition) {
    return call < 0 ? 0 : seccomp_rule_add_array(filter, action, call, 1, &condition);
}

/* Other families are said not to exist, as libpcap expects when it lists what there might be (Bluetooth,
 * CAN). */
static int add_sockets(scmp_filter_ctx filter) {
    int failed = 0;
    for (int family = 0; family <= HIGHEST_FAMILY; family++) {
        uint32_t action = SCMP_ACT_ERRNO(EAFNOSUPPORT);
        for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
            if (families[i] == family) action = SCMP_ACT_ALLOW;
        failed |= add_when(filter, action, SCMP_SYS(socket), is_int(0, (uint64_t)family));
    }
    failed |= add_when(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), is_int(0, AF_UNIX));
    return failed;
}

/* What interfaces, sockets and terminals are asked. No putting of characters into a terminal's input
 * (TIOCSTI). */
static int add_ioctls(scmp_filter_ctx filter) {
    static const uint64_t exact[] = {TCGETS,   TIOCGWINSZ, TIOCGPGRP, TIOCOUTQ,
                                     FIONREAD, FIONBIO,    FIOCLEX,   FIONCLEX};
    static const uint64_t blocks[] = {0x8900 /* SIOC: sockets, interfaces */, 0x8b00 /* wireless */};
    int failed = 0;
    for (size_t i = 0; i < sizeof exact / sizeof exact[0]; i++)
        failed |= add_when(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), is_int(1, exact[i]));
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        failed |= add_when(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), masked(1, 0xffffff00, blocks[i]));
    return failed;
}

static int add_prctls(scmp_filter_ctx filter) {
    static const uint64_t asked[] = {PR_SET_NAME,     PR_GET_NAME,     PR_GET_SECCOMP,    PR_GET_NO_NEW_PRIVS,
                                     PR_GET_DUMPABLE, PR_CAPBSET_READ, PR_GET_SECUREBITS, SET_VMA};
    int failed = 0;
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++)
        failed |= add_when(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), is_int(0, asked[i]));
    return failed;
}

/* Threads, no processes. clone3 keeps its flags in memory, where a filter cannot look: "no such call" makes
 * libc use clone. */
static int add_threads(scmp_filter_ctx filter) {
    static const uint64_t spaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
                                   CLONE_NEWNET | CLONE_NEWCGROUP;
    int failed =
        add_when(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), masked(0, CLONE_THREAD | spaces, CLONE_THREAD));
    return failed | add_when(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), masked(0, CLONE_THREAD, 0));
}

/* Signals to ourselves (abort, the scripts' watchdog), limits to be read and not set. */
static int add_own(scmp_filter_ctx filter) {
    scmp_datum_t self = (scmp_datum_t)getpid();
    int failed = add_when(filter, SCMP_ACT_ALLOW, SCMP_SYS(kill), is_int(0, self));
    failed |= add_when(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), is_int(0, self));
    failed |= add_when(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), is_pointer(2, SCMP_CMP_EQ, 0));
    return failed |
           add_when(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), is_pointer(2, SCMP_CMP_NE, 0));
}

static int fill(scmp_filter_ctx filter) {
    int failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    failed |= seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    failed |= seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a row, to look through */
    failed |= add_all(filter, SCMP_ACT_ALLOW, allowed, sizeof allowed / sizeof allowed[0]);
    failed |= add_all(filter, SCMP_ACT_ERRNO(EPERM), refused, sizeof refused / sizeof refused[0]);
    failed |= add_all(filter, SCMP_ACT_KILL_PROCESS, fatal, sizeof fatal / sizeof fatal[0]);
    failed |=
        add_sockets(filter) | add_ioctls(filter) | add_prctls(filter) | add_threads(filter) | add_own(filter);
    return failed;
}

int call_filter_load(struct error *err) {
    uint32_t processor = seccomp_arch_native();
    if (processor != SCMP_ARCH_X86_64 && processor != SCMP_ARCH_AARCH64)
        return 0; /* arguments lie elsewhere there */
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!filter) return error_set(err, "cannot build the filter of system calls");
    int failed = fill(filter);
    if (failed) {
        seccomp_release(filter);
        return error_set(err, "cannot build the filter of system calls: libseccomp refused a rule");
    }
    failed = seccomp_load(filter);
    seccomp_release(filter);
    if (failed) return error_set(err, "cannot load the filter of system calls: %s", strerror(-failed));
    return 0;
}

bool call_filter_is_on(void) {
    return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2;
}

#else

int call_filter_load(struct error *err) {
    (void)err;
    return 0;
}

bool call_filter_is_on(void) {
    return false;
}

#endif
