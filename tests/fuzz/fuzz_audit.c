/* libFuzzer target: a file of a Mac's, read as `lunette audit` reads it. The first byte says which file it
 * is; the rest is the file. The document must then be one that --audit takes, and a difference from itself
 * that is none. */
#include "audit/audit.h"
#include "audit/audits.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const files[] = {
    "Library/Preferences/SystemConfiguration/preferences.plist",
    "Library/Preferences/SystemConfiguration/NetworkInterfaces.plist",
    "Library/Preferences/com.apple.networkextension.plist",
    "var/db/ConfigurationProfiles/p.mobileconfig",
    "Library/LaunchDaemons/d.plist",
    "Library/Managed Preferences/com.google.Chrome.plist",
    "etc/hosts",
    "etc/pf.conf",
    "etc/resolver/x",
    "Users/u/Library/Application Support/Firefox/Profiles/p/prefs.js",
    "Users/u/Library/Application Support/Google/Chrome/Default/Preferences",
    "etc/pf.anchors/a",
};
enum { FILES = sizeof files / sizeof files[0] };

static char root[64];
static int folder;

static void make_folders(const char *path) {
    char part[256];
    for (const char *slash = path; (slash = strchr(slash, '/')); slash++) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        mkdirat(folder, part, 0700);
    }
}

static void open_root(void) {
    snprintf(root, sizeof root, "/dev/shm/fuzz-audit-XXXXXX");
    if (!mkdtemp(root)) snprintf(root, sizeof root, "/tmp/fuzz-audit-XXXXXX");
    if (access(root, W_OK) < 0 && !mkdtemp(root)) abort();
    folder = open(root, O_RDONLY | O_DIRECTORY);
    if (folder < 0) abort();
    for (int i = 0; i < FILES; i++) make_folders(files[i]);
}

static void check(json_t *document) {
    struct error err;
    json_t *earlier = json_deep_copy(document);
    char *text = json_dumps(document, JSON_COMPACT);
    if (!text || !earlier || audit_since(document, earlier, &err) < 0) abort();
    const json_t *since = json_object_get(document, "since");
    if (json_array_size(json_object_get(since, "changes")) != 0) abort();
    struct audits *audits = audits_new(&err);
    json_t *again = json_loads(text, 0, NULL);
    if (!audits || !again || audits_add(audits, NULL, again, &err) < 0 || !audits_find(audits, NULL)) abort();
    audits_free(audits);
    json_decref(earlier);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct audit_result result;
    struct error err;
    if (!folder) open_root();
    if (size < 1) return 0;
    const char *name = files[data[0] % FILES];
    int file = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || write(file, data + 1, size - 1) != (ssize_t)(size - 1)) abort();
    close(file);
    if (audit_root(root, 1, &result, &err) < 0) abort();
    check(result.document);
    json_decref(result.document);
    unlinkat(folder, name, 0);
    return 0;
}
