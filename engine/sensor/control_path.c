/* The default path and its folder. In /tmp everybody may have made the folder first: so it is looked at,
 * without following a link, before anything is put into it. */
#include "sensor/control_path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __APPLE__
static const char system_path[] = "/var/run/lunette/control.sock";
#else
static const char system_path[] = "/run/lunette/control.sock";
#endif

static int put_path(char out[CONTROL_PATH_SIZE], struct error *err, const char *path) {
    if (strlen(path) < CONTROL_PATH_SIZE) {
        strcpy(out, path);
        return 0;
    }
    error_set(err, "control socket: the path may have at most %d bytes: %.300s", CONTROL_PATH_SIZE - 1, path);
    return error_is_usage(err);
}

/* `folder` is what an environment variable says: the first of several, if it is an absolute path. */
static int put_in_folder(char out[CONTROL_PATH_SIZE], struct error *err, const char *folder,
                         const char *rest) {
    char path[1024];
    snprintf(path, sizeof path, "%.*s%s", (int)strcspn(folder, ":"), folder, rest);
    return put_path(out, err, path);
}

static int own_path(char out[CONTROL_PATH_SIZE], struct error *err) {
    if (geteuid() == 0) return put_path(out, err, system_path);
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (runtime && runtime[0] == '/') return put_in_folder(out, err, runtime, "/lunette/control.sock");
    char path[CONTROL_PATH_SIZE];
    snprintf(path, sizeof path, "/tmp/lunette-%lu/control.sock", (unsigned long)geteuid());
    return put_path(out, err, path);
}

int control_path_default(char out[CONTROL_PATH_SIZE], struct error *err) {
    const char *service = getenv("RUNTIME_DIRECTORY");
    if (service && service[0] == '/') return put_in_folder(out, err, service, "/control.sock");
    return own_path(out, err);
}

static bool is_there(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0 || errno == EACCES;
}

int control_path_for_client(const char *given, char out[CONTROL_PATH_SIZE], struct error *err) {
    if (!given) given = getenv("LUNETTE_SOCKET");
    if (given && given[0]) return put_path(out, err, given);
    if (own_path(out, err) != 0) return -1;
    return is_there(out) || !is_there(system_path) ? 0 : put_path(out, err, system_path);
}

int control_folder_make(const char *path, struct error *err) {
    char folder[CONTROL_PATH_SIZE];
    if (put_path(folder, err, path) != 0) return -1;
    char *slash = strrchr(folder, '/');
    if (!slash)
        strcpy(folder, ".");
    else
        slash[slash == folder] = '\0';
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return error_set(err, "control socket: cannot make the folder %s: %s", folder, strerror(errno));
    struct stat st;
    /* The dot follows a link in the last place, which is fine unless somebody else could have put it there.
     */
    if (lstat(folder, &st) != 0) return error_set(err, "control socket: %s: %s", folder, strerror(errno));
    if (S_ISLNK(st.st_mode) && st.st_uid != 0 && st.st_uid != geteuid())
        return error_set(
            err, "control socket: %s is a link of another user; give another path with --control", folder);
    if (S_ISLNK(st.st_mode) && stat(folder, &st) != 0)
        return error_set(err, "control socket: %s: %s", folder, strerror(errno));
    if (!S_ISDIR(st.st_mode)) return error_set(err, "control socket: %s is not a folder", folder);
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return error_set(
            err, "control socket: %s belongs to another user (number %lu); give another path with --control",
            folder, (unsigned long)st.st_uid);
    if ((st.st_mode & 022) && !(st.st_mode & S_ISVTX))
        return error_set(
            err,
            "control socket: others may write to %s; take that away (chmod go-w) or give another "
            "path with --control",
            folder);
    return 0;
}
