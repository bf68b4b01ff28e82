/* Who the sensor is. The order matters: folders while we are root, then capabilities that must survive the
 * change, groups, group, user, capabilities again, a look whether it all came true, and last the filter,
 * which forbids most of the above. */
#include "sensor/privilege.h"

#include "sensor/call_filter.h"
#include "sensor/privilege_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif
#ifndef UNDER_SANITIZER
#define UNDER_SANITIZER 0
#endif

enum { FOLDERS_MOST = 64 };

struct account {
    uid_t user;
    gid_t group;
    bool known;    /* else a number without an entry, and without groups but its own */
    char name[64]; /* for messages */
};

static void account_from(struct account *account, const struct passwd *entry) {
    account->user = entry->pw_uid;
    account->group = entry->pw_gid;
    account->known = true;
    snprintf(account->name, sizeof account->name, "%s", entry->pw_name);
}

static void account_from_number(struct account *account, uid_t number) {
    const struct passwd *entry = getpwuid(number);
    *account = (struct account){.user = number, .group = (gid_t)number};
    snprintf(account->name, sizeof account->name, "%ld", (long)number);
    if (entry) account_from(account, entry);
}

/* A name is looked for first: some users are called 1000. */
static int account_find(const char *word, struct account *account, struct error *err) {
    const struct passwd *entry = getpwnam(word);
    if (entry) {
        account_from(account, entry);
        return 0;
    }
    char *end;
    errno = 0;
    unsigned long number = strtoul(word, &end, 10);
    bool is_number = word[0] >= '0' && word[0] <= '9' && !*end && !errno && number < (uid_t)-1;
    if (!is_number) {
        error_set(err, "there is no user \"%s\" on this machine", word);
        return error_is_usage(err);
    }
    account_from_number(account, (uid_t)number);
    return 0;
}

/* Who we are to be: 1 if that is a change. */
static int account_wanted(const struct privilege_options *options, struct account *account,
                          struct error *err) {
    if (options->user) {
        if (account_find(options->user, account, err) < 0) return -1;
        return account->user != geteuid();
    }
    account_from_number(account, geteuid());
    return 0;
}

int privilege_check(const struct privilege_options *options, struct error *err) {
    struct account account;
    if (getuid() != geteuid())
        return error_set(err, "lunette must not be a set-user-id program: give it cap_net_raw instead "
                              "(setcap cap_net_raw+ep), or start it as root with --user");
    int change = account_wanted(options, &account, err);
    if (change <= 0 || geteuid() == 0 || capabilities_allow_change()) return change < 0 ? -1 : 0;
    error_set(err, "only root can become user \"%s\": start as root, or leave --user out", options->user);
    return error_is_usage(err);
}

int privilege_reduce(struct error *err) {
    return capabilities_reduce(err);
}

/* ------------------------------------------------------------------- folders */

/* One of the folders: whether we made it, and why it was left to whom it belongs. */
struct folder {
    const char *path;
    bool made;
    const char *kept; /* "it holds files of others"; NULL: nothing stood against it */
};

/* What a sensor that was killed leaves behind: a control socket that nobody listens on (what locks it, the
 * lock of its folder, is gone with the process). */
static bool is_leftover(const char *folder, const char *name, const struct stat *facts) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", folder, name);
    if (!S_ISSOCK(facts->st_mode) || length >= (int)sizeof address.sun_path) return false;
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    if (descriptor < 0) return false;
    fcntl(descriptor, F_SETFL, O_NONBLOCK);
    bool stale =
        connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0 && errno == ECONNREFUSED;
    close(descriptor);
    return stale;
}

/* Goes through what is in a folder. The first look says whether all of it is the user's already (where
 * `users_too`) or was left behind by a sensor; the second hands over what was left behind, since without
 * permission to connect nobody can tell that a socket is stale. */
static bool folder_each(int folder, const char *path, const struct account *account, bool users_too,
                        bool hand) {
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = copy >= 0 ? fdopendir(copy) : NULL;
    if (!entries) {
        if (copy >= 0) close(copy);
        return false;
    }
    bool fine = true;
    for (const struct dirent *entry; fine && (entry = readdir(entries));) {
        const char *name = entry->d_name;
        struct stat facts;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
        if (fstatat(folder, name, &facts, AT_SYMLINK_NOFOLLOW) < 0) {
            fine = errno == ENOENT;
        } else if (!hand) {
            fine = (users_too && facts.st_uid == account->user) || is_leftover(path, name, &facts);
        } else if (S_ISSOCK(facts.st_mode)) {
            fine = fchownat(folder, name, account->user, account->group, AT_SYMLINK_NOFOLLOW) == 0;
        }
    }
    closedir(entries);
    return fine;
}

/* Why a folder stays whose it is; NULL if it may change hands: root's goes to the user, another user's goes
 * back to root. It must be nobody else's to write to. */
static const char *folder_refusal(int folder, const char *path, const struct stat *facts,
                                  const struct account *account, bool change) {
    if (facts->st_mode & (S_IWGRP | S_IWOTH | S_ISVTX)) return "others may write to it";
    if (change && facts->st_uid != 0) return "it belongs to another user";
    if (folder_each(folder, path, account, change, false)) return NULL;
    return "it holds files of others, or a sensor that runs uses it";
}

/* Whoever owns the folder could swap what is in it: so its contents change hands while it is root's. */
static int folder_hand_over(int folder, const char *path, const struct account *account, bool change) {
    if (change && !folder_each(folder, path, account, change, true)) return -1;
    if (fchown(folder, account->user, account->group) < 0) return -1;
    return change || folder_each(folder, path, account, change, true) ? 0 : -1;
}

static int folder_give(struct folder *f, const struct account *account, bool change, struct error *err) {
    f->made = mkdir(f->path, 0750) == 0;
    if (!f->made && errno != EEXIST)
        return error_set(err, "cannot make the folder %s: %s", f->path, strerror(errno));
    if (!change && geteuid() != 0) return 0;
    int folder = open(f->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) {
        f->kept = errno == ELOOP || errno == ENOTDIR ? "it is a link" : "it is closed to root";
        if (errno == ELOOP || errno == ENOTDIR || errno == EACCES) return 0;
        return error_set(err, "cannot open the folder %s: %s", f->path, strerror(errno));
    }
    struct stat facts;
    int failed = fstat(folder, &facts);
    if (!failed && facts.st_uid != account->user) {
        f->kept = folder_refusal(folder, f->path, &facts, account, change);
        if (!f->kept) failed = folder_hand_over(folder, f->path, account, change);
    }
    if (failed)
        error_set(err, "cannot give the folder %s to user %s: %s", f->path, account->name, strerror(errno));
    close(folder);
    return failed ? -1 : 0;
}

static bool folder_is_writable(const char *path) {
    return faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) == 0;
}

static int folder_complain(const struct folder *f, const struct account *account, bool change,
                           struct error *err) {
    const char *slash = f->path[strlen(f->path) - 1] == '/' ? "" : "/";
    return error_set(err,
                     "user %s cannot write to the folder %s: %s%s; name a folder of lunette's own, such as "
                     "%s%slunette (root makes it if it is missing), or one given to it with chown %s",
                     account->name, f->path, f->kept ? f->kept : "its owner or mode does not allow it",
                     !f->kept ? ""
                     : change ? ", so it is not given away"
                              : ", so it is not taken over",
                     f->path, slash, account->name);
}

/* ------------------------------------------------------------------ the change */

static int become(const struct account *account, struct error *err) {
    int groups = account->known ? initgroups(account->name, account->group) : setgroups(1, &account->group);
    if (groups < 0)
        return error_set(err, "cannot take the groups of user %s: %s", account->name, strerror(errno));
    if (setgid(account->group) < 0)
        return error_set(err, "cannot take group %ld: %s", (long)account->group, strerror(errno));
    if (setuid(account->user) < 0)
        return error_set(err, "cannot become user %s: %s", account->name, strerror(errno));
    return 0;
}

static int verify(const struct privilege_options *options, const struct account *account, struct error *err) {
    if (getuid() != account->user || geteuid() != account->user)
        return error_set(err, "the user did not change to %s", account->name);
    if (account->user != 0 && (setuid(0) == 0 || seteuid(0) == 0))
        return error_set(err, "user %s can become root again: not safe to go on", account->name);
    return capabilities_verify(options->keep_capture, err);
}

static int change_for_good(const struct privilege_options *options, const struct account *account,
                           bool change, struct error *err) {
    if (change && (capabilities_hold(err) < 0 || become(account, err) < 0)) return -1;
    return capabilities_drop(options->keep_capture, err) < 0 ? -1 : verify(options, account, err);
}

/* Tries it in a child, while what was made can still be taken back. */
static int folders_try(const struct privilege_options *options, const struct account *account, bool change,
                       const struct folder *folders, uint32_t count, struct error *err) {
    fflush(NULL);
    pid_t process = fork();
    if (process < 0) return error_set(err, "cannot start a process: %s", strerror(errno));
    if (process == 0) {
        if (change_for_good(options, account, change, err) < 0) _exit(0); /* it will be told below */
        uint32_t i = 0;
        while (i < count && folder_is_writable(folders[i].path)) i++;
        _exit(i < count ? (int)i + 1 : 0);
    }
    int status;
    while (waitpid(process, &status, 0) < 0)
        if (errno != EINTR) return error_set(err, "cannot wait for a process: %s", strerror(errno));
    uint32_t shut = WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : 0;
    return shut > 0 && shut <= count ? folder_complain(&folders[shut - 1], account, change, err) : 0;
}

static int folders_prepare(const struct privilege_options *options, const struct account *account,
                           bool change, struct folder *folders, uint32_t count, struct error *err) {
    for (uint32_t i = 0; i < count; i++)
        if (folder_give(&folders[i], account, change, err) < 0) return -1;
    return count ? folders_try(options, account, change, folders, count, err) : 0;
}

int privilege_drop(const struct privilege_options *options, const char *const *paths, uint32_t count,
                   struct error *err) {
    struct account account;
    struct folder folders[FOLDERS_MOST] = {0};
    int change = account_wanted(options, &account, err);
    if (change < 0) return -1;
    if (count > FOLDERS_MOST) return error_set(err, "more than %d folders to write to", FOLDERS_MOST);
    for (uint32_t i = 0; i < count; i++) folders[i].path = paths[i];
    if (folders_prepare(options, &account, change, folders, count, err) < 0) {
        for (uint32_t i = count; i-- > 0;) /* only empty ones go */
            if (folders[i].made) rmdir(folders[i].path);
        return -1;
    }
    if (change_for_good(options, &account, change, err) < 0) return -1;
    return options->filter_calls && !UNDER_SANITIZER ? call_filter_load(err) : 0;
}

void privilege_describe(char *out, size_t size) {
    const struct passwd *entry = getpwuid(geteuid());
    if (entry)
        snprintf(out, size, "user %s", entry->pw_name);
    else
        snprintf(out, size, "user %ld", (long)geteuid());
    capabilities_describe(out, size);
    size_t used = strlen(out);
    if (call_filter_is_on()) snprintf(out + used, size - used, ", seccomp");
}
