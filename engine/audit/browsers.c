/* Proxies and DNS that browsers have of their own: Firefox' prefs.js and user.js (network.proxy.*,
 * network.trr.*), Preferences of browsers of Chromium's family (JSON, "proxy"). What an operator gives
 * Chromium is read with the profiles. */
#include "audit/inner.h"
#include "audit/json_read.h"

#include <stdlib.h>
#include <string.h>

enum { USERS_MOST = 256, PROFILES_MOST = 64 };

static void add(struct audit *audit, const char *browser, const char *user, const char *file,
                const char *kind, const char *host, long port, const char *url) {
    json_t *entry = json_object();
    set_text(entry, "browser", browser);
    set_text(entry, "user", user);
    set_text(entry, "kind", kind);
    set_text(entry, "host", host);
    if (port > 0 && port < 65536) set_owned(entry, "port", json_integer(port));
    set_text(entry, "url", url);
    set_text(entry, "file", file);
    audit_add(audit, "browser_proxies", entry);
}

/* ── Firefox ─────────────────────────────────────────────────────── */

/* Settings by name, from lines user_pref("name", value); */
static json_t *read_prefs(const char *bytes, size_t size) {
    static const char call[] = "user_pref(\"";
    json_t *prefs = json_object(), *value;
    for (const char *at = bytes, *end = bytes + size; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        const char *name = at + strspn(at, " \t"), *close;
        char key[128], text[600];
        if (name + strlen(call) < stop && strncmp(name, call, strlen(call)) == 0) {
            name += strlen(call);
            close = memchr(name, '"', (size_t)(stop - name));
            if (close && close - name < (long)sizeof key && strncmp(name, "network.", 8) == 0) {
                say(key, sizeof key, "%.*s", (int)(close - name), name);
                const char *from = close + 1 + strspn(close + 1, ", \t");
                size_t length = from < stop ? (size_t)(stop - from) : 0;
                while (length > 0 && strchr("); \t\r", from[length - 1])) length--;
                if (length > 1 && from[0] == '"' && from[length - 1] == '"') from++, length -= 2;
                say(text, sizeof text, "%.*s", (int)(length < 512 ? length : 512), from);
                value = text_json(text, strlen(text));
                if (value) json_object_set_new(prefs, key, value);
            }
        }
        at = stop + 1;
    }
    return prefs;
}

static void weigh_trr(struct audit *audit, const json_t *prefs, const char *user, const char *file) {
    long mode = strtol(text_at(prefs, "network.trr.mode"), NULL, 10);
    const char *url = text_at(prefs, "network.trr.uri");
    char from[PATH_ROOM];
    if ((mode != 2 && mode != 3) || !*url) return;
    json_t *entry = json_object();
    set_text(entry, "protocol", "HTTPS");
    set_text(entry, "server", url);
    set_owned(entry, "addresses", json_array());
    set_owned(entry, "domains", json_array());
    set_text(entry, "from", say(from, sizeof from, "Firefox of %s", user));
    set_text(entry, "file", file);
    audit_add(audit, "encrypted_dns", entry);
}

static void read_firefox(struct audit *audit, const char *user, const char *file) {
    static const char *const kinds[][3] = {{"http", "network.proxy.http", "network.proxy.http_port"},
                                           {"https", "network.proxy.ssl", "network.proxy.ssl_port"},
                                           {"socks", "network.proxy.socks", "network.proxy.socks_port"}};
    size_t size;
    char *bytes = audit_file(audit, file, false, &size);
    if (!bytes) return;
    json_t *prefs = read_prefs(bytes, size);
    long type = strtol(text_at(prefs, "network.proxy.type"), NULL, 10);
    for (size_t i = 0; type == 1 && i < sizeof kinds / sizeof kinds[0]; i++)
        if (*text_at(prefs, kinds[i][1]))
            add(audit, "Firefox", user, file, kinds[i][0], text_at(prefs, kinds[i][1]),
                strtol(text_at(prefs, kinds[i][2]), NULL, 10), NULL);
    if (type == 2)
        add(audit, "Firefox", user, file, "pac", NULL, 0, text_at(prefs, "network.proxy.autoconfig_url"));
    if (type == 4) add(audit, "Firefox", user, file, "wpad", NULL, 0, NULL);
    weigh_trr(audit, prefs, user, file);
    json_decref(prefs);
    free(bytes);
}

/* ── Chromium ────────────────────────────────────────────────────── */

static void read_chromium(struct audit *audit, const char *browser, const char *user, const char *file) {
    size_t size;
    struct error err;
    char status[WHY_ROOM];
    char *bytes = audit_file(audit, file, false, &size);
    json_t *root = bytes ? json_read(bytes, size, JSON_ALLOW_NUL, &err) : NULL;
    const json_t *proxy = json_object_get(root, "proxy");
    const char *mode = text_at(proxy, "mode"), *server = text_at(proxy, "server");
    char host[256];
    if (bytes && !root) audit_note(audit, file, say(status, sizeof status, "broken: line %.500s", err.text));
    if (strcmp(mode, "pac_script") == 0)
        add(audit, browser, user, file, "pac", NULL, 0, text_at(proxy, "pac_url"));
    if (strcmp(mode, "auto_detect") == 0) add(audit, browser, user, file, "wpad", NULL, 0, NULL);
    if (strcmp(mode, "fixed_servers") == 0 && *server) {
        const char *scheme = strstr(server, "://"), *place = scheme ? scheme + 3 : server,
                   *colon = strrchr(place, ':');
        say(host, sizeof host, "%.*s", (int)(colon ? colon - place : (long)strlen(place)), place);
        add(audit, browser, user, file, strncmp(server, "socks", 5) == 0 ? "socks" : "http", host,
            colon ? strtol(colon + 1, NULL, 10) : 0, NULL);
    }
    json_decref(root);
    free(bytes);
}

/* ── whose they are ──────────────────────────────────────────────── */

static void each_profile(struct audit *audit, const char *user, const char *folder, const char *browser,
                         const char *name) {
    char **profiles, file[PATH_ROOM], path[PATH_ROOM];
    say(path, sizeof path, "/Users/%.255s/Library/Application Support/%s", user, folder);
    size_t count = audit_names(audit, path, &profiles);
    for (size_t i = 0; i < count && i < PROFILES_MOST; i++) {
        say(file, sizeof file, "%.700s/%.255s/%s", path, profiles[i], name);
        if (strcmp(browser, "Firefox") == 0)
            read_firefox(audit, user, file);
        else
            read_chromium(audit, browser, user, file);
    }
    tree_names_free(profiles, count);
}

void read_browsers(struct audit *audit) {
    static const char *const browsers[][3] = {
        {"Firefox/Profiles", "Firefox", "prefs.js"}, {"Firefox/Profiles", "Firefox", "user.js"},
        {"Google/Chrome", "Chrome", "Preferences"},  {"Chromium", "Chromium", "Preferences"},
        {"Microsoft Edge", "Edge", "Preferences"},   {"BraveSoftware/Brave-Browser", "Brave", "Preferences"}};
    char **users;
    size_t count = audit_names(audit, "/Users", &users);
    for (size_t i = 0; i < count && i < USERS_MOST; i++)
        for (size_t j = 0; j < sizeof browsers / sizeof browsers[0]; j++)
            each_profile(audit, users[i], browsers[j][0], browsers[j][1], browsers[j][2]);
    tree_names_free(users, count);
}
