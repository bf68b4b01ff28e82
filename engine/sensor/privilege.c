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
#include <sys/stat.h>
#include <sys/types.h>
#include <dirent.h>
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

static bool is_empty(int folder) {
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = copy >= 0 ? fdopendir(copy) : NULL;
    if (!entries) {
        if (copy >= 0) close(copy);
        return false;
    }
    bool empty = true;
    for (const struct dirent *entry; empty && (entry = readdir(entries));)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(entries);
    return empty;
}

/* A folder of root's is ours to give away if nobody keeps anything there, and if it is nobody else's to write
 * to. */
static int folder_give(const char *path, const struct account *account, bool change, struct error *err) {
    if (mkdir(path, 0750) < 0 && errno != EEXIST)
        return error_set(err, "cannot make the folder %s: %s", path, strerror(errno));
    if (!change) return 0;
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) {
        if (errno == ELOOP || errno == ENOTDIR || errno == EACCES) return 0; /* a link: left alone */
        return error_set(err, "cannot open the folder %s: %s", path, strerror(errno));
    }
    struct stat facts;
    int failed = fstat(folder, &facts);
    bool ours =
        !failed && facts.st_uid == 0 && !(facts.st_mode & (S_IWGRP | S_IWOTH | S_ISVTX)) && is_empty(folder);
    if (ours) failed = fchown(folder, account->user, account->group);
    if (failed)
        error_set(err, "cannot give the folder %s to user %s: %s", path, account->name, strerror(errno));
    close(folder);
    return failed ? -1 : 0;
}

static int folder_verify(const char *path, const struct account *account, struct error *err) {
    if (faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) == 0) return 0;
    return error_set(
        err,
        "user %s cannot write to the folder %s (%s). It was not given to that user because it is not an "
        "empty folder of root's: change its owner, or name another",
        account->name, path, strerror(errno));
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

int privilege_drop(const struct privilege_options *options, const char *const *folders, uint32_t folder_count,
                   struct error *err) {
    struct account account;
    int change = account_wanted(options, &account, err);
    if (change < 0) return -1;
    for (uint32_t i = 0; i < folder_count; i++)
        if (folder_give(folders[i], &account, change, err) < 0) return -1;
    if (change && (capabilities_hold(err) < 0 || become(&account, err) < 0)) return -1;
    if (capabilities_drop(options->keep_capture, err) < 0 || verify(options, &account, err) < 0) return -1;
    for (uint32_t i = 0; i < folder_count; i++)
        if (folder_verify(folders[i], &account, err) < 0) return -1;
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
