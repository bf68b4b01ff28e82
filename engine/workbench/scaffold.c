/* See scaffold.h. Files are created with O_EXCL, so that not even a file made a moment ago is lost. */
#include "workbench/scaffold.h"

#include "base/nearest.h"
#include "output/json.h"
#include "script/embedded.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_MOST = 48 };
static const char PLACE[] = "@NAME@";

const char *const scaffold_kinds[] = {"dns", "tls", "http", "flow", "stream", "process", "vpn", NULL};

static int check_name(const char *name, struct error *err) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    size_t length = strlen(name);
    if (length > 4 && strcmp(name + length - 4, ".lua") == 0)
        error_set(err, "the name goes without .lua: %.*s", (int)length - 4, name);
    else if (length == 0 || length > NAME_MOST || strspn(name, allowed) != length)
        error_set(err, "'%s' cannot be a detector's name: it has letters, digits and _, at most %d", name,
                  NAME_MOST);
    else if (length > 5 && strcmp(name + length - 5, "_test") == 0)
        error_set(err, "'%s' would be the test of another detector", name);
    else
        return 0;
    return error_is_usage(err);
}

static int check_kind(const char *kind, struct error *err) {
    size_t count = 0;
    char list[128] = "";
    for (; scaffold_kinds[count]; count++) {
        if (strcmp(scaffold_kinds[count], kind) == 0) return 0;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", scaffold_kinds[count]);
    }
    const char *near = nearest_name(kind, scaffold_kinds, count);
    if (near)
        error_set(err, "there is no kind '%s'; did you mean '%s'?", kind, near);
    else
        error_set(err, "there is no kind '%s': there are %s", kind, list);
    return error_is_usage(err);
}

static int path_in(char out[PATH_MAX], const char *folder, const char *name, const char *ending,
                   struct error *err) {
    if (snprintf(out, PATH_MAX, "%s/%s%s", folder, name, ending) < PATH_MAX) return 0;
    return error_set(err, "the path %s/%s%s is too long", folder, name, ending);
}

static int check_free(const char *path, struct error *err) {
    struct stat status;
    if (lstat(path, &status) < 0 && errno == ENOENT) return 0;
    return error_set(
        err, "%s is there already, and stays as it is: choose another name, or another folder with --in",
        path);
}

static int write_new(const char *path, const struct buffer *text, struct error *err) {
    if (text->failed) return error_set(err, "out of memory");
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) return error_set(err, "%s: %s", path, strerror(errno));
    FILE *file = fdopen(fd, "w");
    bool whole = file && fwrite(text->at, 1, text->length, file) == text->length;
    int why = errno;
    if (file ? fclose(file) != 0 : close(fd) != 0) whole = false;
    return whole ? 0 : error_set(err, "%s cannot be written: %s", path, strerror(why));
}

/* The template with the name put in. */
static int write_template(const char *path, const char *kind, const char *ending, const char *name,
                          struct error *err) {
    char template[64];
    snprintf(template, sizeof template, "template-%s%s.lua", kind, ending);
    const struct embedded_file *file = embedded_find(template);
    if (!file) return error_set(err, "%s does not travel in this binary", template);
    struct buffer b = {.at = NULL};
    const char *from = file->text;
    for (const char *at; (at = strstr(from, PLACE)); from = at + strlen(PLACE)) {
        buffer_put(&b, from, (size_t)(at - from));
        buffer_string(&b, name);
    }
    buffer_string(&b, from);
    int outcome = write_new(path, &b, err);
    buffer_free(&b);
    return outcome;
}

/* Tells the Lua language server where the API's stubs are. */
static int write_settings(const char *path, const char *stubs, struct error *err) {
    struct buffer b = {.at = NULL};
    buffer_string(&b, "{\n    \"runtime.version\": \"LuaJIT\",\n    \"workspace.library\": [");
    json_text(&b, stubs);
    buffer_string(&b, "],\n    \"workspace.checkThirdParty\": false\n}\n");
    int outcome = write_new(path, &b, err);
    buffer_free(&b);
    return outcome;
}

static int make_folder(const char *folder, struct error *err) {
    struct stat status;
    if (mkdir(folder, 0755) == 0) return 0;
    if (errno == EEXIST && stat(folder, &status) == 0 && S_ISDIR(status.st_mode)) return 0;
    return error_set(err, "%s: %s", folder, errno == EEXIST ? "is no folder" : strerror(errno));
}

int scaffold_write(const struct scaffold_options *options, struct scaffold *written, struct error *err) {
    struct scaffold paths;
    struct stat status;
    *written = (struct scaffold){.detector = ""};
    if (check_name(options->name, err) < 0 || check_kind(options->kind, err) < 0) return -1;
    if (path_in(paths.detector, options->folder, options->name, ".lua", err) < 0 ||
        path_in(paths.test, options->folder, options->name, "_test.lua", err) < 0 ||
        path_in(paths.settings, options->folder, ".luarc", ".json", err) < 0)
        return -1;
    if (check_free(paths.detector, err) < 0 || check_free(paths.test, err) < 0) return -1;
    if (make_folder(options->folder, err) < 0) return -1;
    if (write_template(paths.detector, options->kind, "", options->name, err) < 0) return -1;
    memcpy(written->detector, paths.detector, sizeof paths.detector);
    if (write_template(paths.test, options->kind, "-test", options->name, err) < 0) return -1;
    memcpy(written->test, paths.test, sizeof paths.test);
    if (!options->stubs || lstat(paths.settings, &status) == 0) return 0;
    if (write_settings(paths.settings, options->stubs, err) < 0) return -1;
    memcpy(written->settings, paths.settings, sizeof paths.settings);
    return 0;
}
