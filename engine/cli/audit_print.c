/* See audit_print.h. All text comes from files of strangers: terminal_safe() and its kin write it. */
#include "cli/audit_print.h"

#include <stdio.h>
#include <stdlib.h>

enum { SHOWN_MOST = 200, INDENT = 2, LABEL = 15 };

struct page {
    struct buffer *b;
    const struct terminal_style *style;
    const json_t *document;
};

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static const json_t *list_of(const json_t *object, const char *key) {
    return json_object_get(object, key);
}

static void heading(const struct page *page, const char *text) {
    buffer_char(page->b, '\n');
    terminal_ink(page->b, page->style, INK_BOLD);
    buffer_string(page->b, text);
    terminal_ink(page->b, page->style, INK_PLAIN);
    buffer_char(page->b, '\n');
}

/* "  label          text, wrapped" */
static void row(const struct page *page, uint32_t indent, const char *label, const char *text) {
    uint32_t width = terminal_width_of(label, strlen(label)), column = indent + LABEL;
    buffer_fill(page->b, ' ', indent);
    terminal_safe(page->b, label, strlen(label));
    if (width >= LABEL) column = indent + width + 2;
    buffer_fill(page->b, ' ', column - indent - width);
    terminal_wrapped(page->b, page->style, column, indent + LABEL, text);
    buffer_char(page->b, '\n');
}

static void rest(const struct page *page, const json_t *list, size_t shown) {
    if (json_array_size(list) > shown)
        buffer_format(page->b, "  … and %zu more\n", json_array_size(list) - shown);
}

/* ── pieces of text ──────────────────────────────────────────────── */

static void put_list(struct buffer *b, const json_t *list) {
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item) {
        if (i == 32) {
            buffer_string(b, " …");
            return;
        }
        if (i) buffer_string(b, ", ");
        buffer_put(b, json_string_value(item), json_string_length(item));
    }
}

/* A buffer's text as a string, which is the buffer's until it is freed. */
static const char *ended(struct buffer *b) {
    buffer_char(b, '\0');
    return b->failed || !b->at ? "" : b->at;
}

static void row_of_list(const struct page *page, uint32_t indent, const char *label, const json_t *list) {
    struct buffer text = {.at = NULL};
    if (json_array_size(list) == 0) return;
    put_list(&text, list);
    row(page, indent, label, ended(&text));
    buffer_free(&text);
}

static void put_text(struct buffer *b, const char *before, const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (json_string_length(value) == 0) return;
    buffer_string(b, before);
    buffer_put(b, json_string_value(value), json_string_length(value));
}

static void put_proxy(struct buffer *b, const json_t *proxy) {
    json_int_t port = json_integer_value(json_object_get(proxy, "port"));
    put_text(b, "", proxy, "kind");
    put_text(b, " ", proxy, "host");
    if (port) buffer_format(b, ":%lld", (long long)port);
    put_text(b, " ", proxy, "url");
}

/* ── the configuration ───────────────────────────────────────────── */

static void print_who(const struct page *page) {
    const json_t *d = page->document, *file;
    size_t i, read = 0;
    struct buffer text = {.at = NULL};
    char when[SHORT_TIME_SIZE];
    terminal_ink(page->b, page->style, INK_BOLD);
    const char *name = *text_of(d, "name") ? text_of(d, "name") : "a Mac without a name";
    terminal_safe(page->b, name, strlen(name));
    terminal_ink(page->b, page->style, INK_PLAIN);
    put_text(&text, ", macOS ", d, "macos");
    put_text(&text, " (", d, "build");
    if (*text_of(d, "build")) buffer_char(&text, ')');
    put_text(&text, ", ", d, "model");
    terminal_safe(page->b, text.at, text.length);
    buffer_free(&text);
    json_array_foreach(list_of(d, "files"), i, file) read += strcmp(text_of(file, "status"), "read") == 0;
    terminal_time((nanoseconds)json_integer_value(json_object_get(d, "taken")) * NS_PER_SECOND, when);
    buffer_format(page->b, "\n%.19s UTC, %zu file%s read below ", when, read, read == 1 ? "" : "s");
    terminal_safe(page->b, text_of(d, "root"), strlen(text_of(d, "root")));
    buffer_char(page->b, '\n');
    json_array_foreach(list_of(d, "files"), i, file) {
        bool there = strcmp(text_of(file, "status"), "read") == 0;
        if (!there && i < SHOWN_MOST) row(page, 0, text_of(file, "status"), text_of(file, "path"));
    }
}

static void print_interfaces(const struct page *page) {
    static const char *const names[] = {"interface", "kind", "hardware address", "name", ""};
    const json_t *list = list_of(page->document, "interfaces"), *item;
    size_t count = json_array_size(list) < SHOWN_MOST ? json_array_size(list) : SHOWN_MOST, i;
    const char **cells = calloc(5 * (count + 1), sizeof *cells);
    if (!cells || count == 0) {
        free(cells);
        return;
    }
    buffer_char(page->b, '\n');
    json_array_foreach(list, i, item) {
        if (i == count) break;
        cells[5 * i] = text_of(item, "name");
        cells[5 * i + 1] = text_of(item, "kind");
        cells[5 * i + 2] = text_of(item, "mac");
        cells[5 * i + 3] = text_of(item, "title");
        cells[5 * i + 4] = json_is_true(json_object_get(item, "builtin")) ? "built in" : "";
    }
    terminal_table(page->b, page->style, INDENT, 5, (uint32_t)count, names, cells);
    rest(page, list, count);
    free(cells);
}

static void print_service(const struct page *page, const json_t *service) {
    struct buffer text = {.at = NULL};
    size_t i;
    const json_t *proxy;
    json_int_t order = json_integer_value(json_object_get(service, "order"));
    put_text(&text, "", service, "interface");
    put_text(&text, text.length ? ", " : "", service, "ipv4");
    if (order) buffer_format(&text, ", %lld. in order", (long long)order);
    if (!json_is_true(json_object_get(service, "active"))) buffer_string(&text, ", off");
    row(page, INDENT, text_of(service, "name"), ended(&text));
    buffer_free(&text);
    row_of_list(page, INDENT + 2, "addresses", list_of(service, "addresses"));
    if (*text_of(service, "router")) row(page, INDENT + 2, "router", text_of(service, "router"));
    row_of_list(page, INDENT + 2, "resolvers", list_of(service, "resolvers"));
    row_of_list(page, INDENT + 2, "search", list_of(service, "search"));
    json_array_foreach(list_of(service, "proxies"), i, proxy) {
        put_proxy(&text, proxy);
        row(page, INDENT + 2, i ? "" : "proxies", ended(&text));
        buffer_free(&text);
    }
}

static void print_services(const struct page *page) {
    const json_t *list = list_of(page->document, "services"), *service;
    const char *location = "";
    char title[300];
    size_t i;
    json_array_foreach(list, i, service) {
        if (i == SHOWN_MOST) break;
        const char *own = *text_of(service, "location") ? text_of(service, "location") : "-";
        if (strcmp(own, location) != 0) {
            struct buffer safe = {.at = NULL};
            terminal_safe(&safe, own, strlen(own));
            bool none = strcmp(own, "-") == 0;
            snprintf(title, sizeof title, "%s%.250s", none ? "Services of no location" : "Location ",
                     none ? "" : ended(&safe));
            buffer_free(&safe);
            heading(page, title);
            location = own;
        }
        print_service(page, service);
    }
    rest(page, list, SHOWN_MOST);
}

/* A list of the document, an entry a line: its label, and some members. */
static void print_list(const struct page *page, const char *title, const char *list_name, const char *label,
                       const char *const *members) {
    const json_t *list = list_of(page->document, list_name), *item;
    size_t i;
    if (json_array_size(list) == 0) return;
    heading(page, title);
    json_array_foreach(list, i, item) {
        struct buffer text = {.at = NULL};
        if (i == SHOWN_MOST) break;
        for (const char *const *member = members; *member; member++) {
            const json_t *value = json_object_get(item, *member);
            if (json_array_size(value) > 0) {
                if (text.length) buffer_string(&text, "; ");
                put_list(&text, value);
            } else if (json_string_length(value) > 0) {
                put_text(&text, text.length ? ", " : "", item, *member);
            } else if (json_is_integer(value)) {
                buffer_format(&text, "%s%s %lld", text.length ? ", " : "", *member,
                              (long long)json_integer_value(value));
            } else if (json_is_true(value)) {
                buffer_format(&text, "%s%s", text.length ? ", " : "", *member);
            }
        }
        row(page, INDENT, *text_of(item, label) ? text_of(item, label) : "-", ended(&text));
        buffer_free(&text);
    }
    rest(page, list, SHOWN_MOST);
}

static void print_pf(const struct page *page) {
    const json_t *pf = json_object_get(page->document, "pf");
    if (!json_is_true(json_object_get(pf, "changed"))) return;
    heading(page, "pf, beyond what macOS ships");
    row_of_list(page, INDENT, "redirects", list_of(pf, "rdr"));
    row_of_list(page, INDENT, "anchors", list_of(pf, "anchors"));
    row_of_list(page, INDENT, "translates", list_of(pf, "nat"));
    row_of_list(page, INDENT, "rules", list_of(pf, "rules"));
}

static void print_since(const struct page *page) {
    const json_t *since = json_object_get(page->document, "since"), *change;
    const json_t *changes = list_of(since, "changes");
    char when[SHORT_TIME_SIZE], title[96];
    size_t i;
    if (!since) return;
    terminal_time((nanoseconds)json_number_value(json_object_get(since, "taken")) * NS_PER_SECOND, when);
    snprintf(title, sizeof title, "Since the audit of %.19s UTC%s", when,
             json_array_size(changes) ? "" : ": no difference");
    heading(page, title);
    json_array_foreach(changes, i, change) {
        struct buffer text = {.at = NULL};
        if (i == SHOWN_MOST) break;
        put_text(&text, "", change, "what");
        put_text(&text, " ", change, "name");
        put_text(&text, ": ", change, "before");
        if (*text_of(change, "after"))
            put_text(&text, *text_of(change, "before") ? " → " : ": ", change, "after");
        row(page, INDENT, text_of(change, "change"), ended(&text));
        buffer_free(&text);
    }
    rest(page, changes, SHOWN_MOST);
}

/* ── findings ────────────────────────────────────────────────────── */

static const char *const severities[] = {"high", "medium", "low", "info"};
static const char *const labels[] = {"HIGH", "MEDIUM", "LOW", "INFO"};
static const enum ink inks[] = {INK_RED, INK_YELLOW, INK_CYAN, INK_DIM};

static void print_finding(const struct page *page, const json_t *finding, int severity) {
    struct buffer text = {.at = NULL};
    buffer_char(page->b, '\n');
    terminal_ink(page->b, page->style, inks[severity]);
    buffer_format(page->b, "%-8s", labels[severity]);
    terminal_ink(page->b, page->style, INK_BOLD);
    terminal_safe(page->b, text_of(finding, "title"), strlen(text_of(finding, "title")));
    terminal_ink(page->b, page->style, INK_PLAIN);
    buffer_char(page->b, '\n');
    static const char *const parts[][2] = {
        {"why", "why"}, {"where", "file"}, {"next", "next"}, {"attack", "attack"}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        put_text(&text, "", finding, parts[i][1]);
        if (i == 1) put_text(&text, text.length ? ", " : "", finding, "key");
        if (text.length) {
            buffer_format(page->b, "        %-8s", parts[i][0]);
            terminal_wrapped(page->b, page->style, 16, 16, ended(&text));
            buffer_char(page->b, '\n');
        }
        buffer_free(&text);
    }
}

/* What no file told is not known to be well. */
static const char *no_findings(const json_t *document) {
    size_t read = 0, denied = 0, i;
    const json_t *file;
    json_array_foreach(list_of(document, "files"), i, file) {
        const char *status = text_of(file, "status");
        if (strcmp(status, "read") == 0)
            read++;
        else if (strcmp(status, "not there") != 0)
            denied++;
    }
    if (read == 0) return "No file was read: nothing is known of this Mac.";
    if (denied > 0) return "Nothing found that does not belong, in what could be read.";
    return "Nothing found that does not belong.";
}

static void print_findings(const struct page *page) {
    const json_t *list = list_of(page->document, "findings"), *finding;
    size_t counts[4] = {0}, i;
    heading(page, json_array_size(list) ? "Findings" : no_findings(page->document));
    for (int severity = 0; severity < 4; severity++) json_array_foreach(list, i, finding) {
            if (strcmp(text_of(finding, "severity"), severities[severity]) != 0) continue;
            if (counts[severity]++ < SHOWN_MOST) print_finding(page, finding, severity);
        }
    if (json_array_size(list))
        buffer_format(page->b, "\n%zu high, %zu medium, %zu low, %zu info\n", counts[0], counts[1], counts[2],
                      counts[3]);
}

void audit_print(struct buffer *b, const struct terminal_style *style, const json_t *document) {
    static const char *const of_vpn[] = {"kind", "server", "app", "on_demand", "enabled", NULL};
    static const char *const of_scoped[] = {"resolvers", "port", "file", NULL};
    static const char *const of_dns[] = {"protocol", "addresses", "domains", "from", NULL};
    static const char *const of_browser[] = {"user", "kind", "host", "port", "url", NULL};
    static const char *const of_hosts[] = {"names", "line", NULL};
    static const char *const of_profile[] = {"type", "file", NULL};
    static const char *const of_agent[] = {"command", "file", NULL};
    const struct page page = {.b = b, .style = style, .document = document};
    print_who(&page);
    print_interfaces(&page);
    print_services(&page);
    print_list(&page, "VPNs", "vpns", "name", of_vpn);
    print_list(&page, "Resolvers for some names", "scoped", "domain", of_scoped);
    print_list(&page, "Encrypted DNS", "encrypted_dns", "server", of_dns);
    print_list(&page, "Proxies of browsers", "browser_proxies", "browser", of_browser);
    print_list(&page, "Names in /etc/hosts", "hosts", "address", of_hosts);
    print_pf(&page);
    print_list(&page, "Profiles and managed settings", "profiles", "name", of_profile);
    print_list(&page, "Tools that launchd starts", "agents", "label", of_agent);
    print_since(&page);
    print_findings(&page);
}
