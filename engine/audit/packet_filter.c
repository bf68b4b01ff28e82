/* /etc/pf.conf and /etc/pf.anchors/ (pf.conf(5)). What macOS ships is known: six lines that hand over to
 * anchors of Apple's own. Anything else was put there. Whether pf is on at all no file tells. */
#include "audit/inner.h"
#include "audit/lines.h"

#include <stdlib.h>
#include <string.h>

static const char *const shipped[] = {
    "scrub-anchor \"com.apple/*\"", "nat-anchor \"com.apple/*\"",
    "rdr-anchor \"com.apple/*\"",   "dummynet-anchor \"com.apple/*\"",
    "anchor \"com.apple/*\"",       "load anchor \"com.apple\" from \"/etc/pf.anchors/com.apple\"",
};
enum { SHIPPED = sizeof shipped / sizeof shipped[0], PF_FILES = 64 };

struct pf {
    struct audit *audit;
    json_t *rdr, *nat, *anchors, *rules;
    json_t *files; /* names of those read or to be read: an object used as a set, in the order found */
    bool changed, there;
    unsigned kept; /* bit i: shipped[i] stands in pf.conf */
    const char *path;
    bool main;
};

/* Blanks in one form. */
static void squeeze(char *text) {
    char *out = text;
    for (char *at = text; *at; at++) {
        if ((*at == ' ' || *at == '\t') && (out == text || out[-1] == ' ')) continue;
        *out++ = *at == '\t' ? ' ' : *at;
    }
    *out = '\0';
}

static bool begins(const char *text, const char *word) {
    size_t length = strlen(word);
    return strncmp(text, word, length) == 0 &&
           (text[length] == ' ' || text[length] == '\0' || text[length] == '"');
}

static void keep(json_t *list, const char *text) {
    if (json_array_size(list) < TEXTS_MOST) json_array_append_new(list, text_json(text, strlen(text)));
}

/* What stands in quotes behind `word`. */
static bool quoted_after(const char *text, const char *word, char out[PATH_ROOM]) {
    const char *at = strstr(text, word), *open = at ? strchr(at, '"') : NULL,
               *close = open ? strchr(open + 1, '"') : NULL;
    if (!close || close - open >= PATH_ROOM) return false;
    say(out, PATH_ROOM, "%.*s", (int)(close - open - 1), open + 1);
    return true;
}

static void find_rule(struct pf *pf, const char *line, unsigned number, const char *severity,
                      const char *title, const char *next, const char *attack) {
    char why[WHY_ROOM], key[32];
    struct finding finding = {.severity = severity,
                              .title = title,
                              .file = pf->path,
                              .next = next,
                              .attack = attack,
                              .about = "pf"};
    finding.why = say(why, sizeof why, "%.500s", line);
    finding.key = say(key, sizeof key, "line %u", number);
    audit_find(pf->audit, &finding);
}

static bool is_translation(const char *line, const char *word) {
    char anchor[24];
    say(anchor, sizeof anchor, "%s-anchor", word);
    return begins(line, word) || begins(line, anchor);
}

static void read_rule(struct pf *pf, const char *line, unsigned number) {
    static const char whose[] = "Which program asked for it? An intercepting proxy, a VPN's kill switch and "
                                "Internet sharing write such rules";
    char file[PATH_ROOM];
    if (strstr(line, "from \"") && begins(line, "load") && quoted_after(line, "from", file))
        set_owned(pf->files, file, json_true());
    if (begins(line, "include") && quoted_after(line, "include", file))
        set_owned(pf->files, file, json_true());
    if (begins(line, "rdr")) {
        keep(pf->rdr, line);
        find_rule(pf, line, number, "high", "pf sends connections elsewhere", whose, "T1557");
    } else if (strstr(line, " route-to ") || strstr(line, " dup-to ") || strstr(line, " reply-to ")) {
        keep(pf->rules, line);
        bool copies = strstr(line, " dup-to ") != NULL;
        find_rule(pf, line, number, copies ? "high" : "medium",
                  copies ? "pf sends copies of packets elsewhere"
                         : "pf routes packets around the routing table",
                  whose, copies ? "T1020.001" : "T1557");
    } else if (is_translation(line, "nat") || is_translation(line, "binat")) {
        keep(pf->nat, line);
        if (!strstr(line, "-anchor"))
            find_rule(pf, line, number, "low", "pf changes addresses", whose, "T1090");
    } else if (begins(line, "pass") || begins(line, "block")) {
        keep(pf->rules, line);
    }
    if (strstr(line, "anchor") && quoted_after(line, "anchor", file) && strncmp(file, "com.apple", 9) != 0 &&
        pf->main) {
        keep(pf->anchors, file);
        if (!begins(line, "load"))
            find_rule(pf, line, number, "low", "pf has an anchor that is not Apple's", whose, "T1562.004");
    }
}

/* Anchors in Apple's own file stand there without rules. */
static bool is_apples_anchor(const struct pf *pf, const char *line) {
    return strstr(pf->path, "/pf.anchors/com.apple") && begins(line, "anchor") && !strchr(line, '{');
}

static void read_rules(struct pf *pf, const char *bytes, size_t size) {
    struct lines lines = lines_of(bytes, size, true);
    while (lines_next(&lines)) {
        bool known = false;
        squeeze(lines.text);
        for (size_t i = 0; i < SHIPPED; i++)
            if (strcmp(lines.text, shipped[i]) == 0) pf->kept |= (pf->main ? 1u : 0u) << i, known = true;
        if (known || is_apples_anchor(pf, lines.text)) continue;
        pf->changed = true;
        read_rule(pf, lines.text, lines.number);
    }
}

static void read_file(struct pf *pf, const char *name) {
    size_t size;
    char path[PATH_ROOM];
    char *bytes = audit_etc_file(pf->audit, name, false, &size, path);
    pf->path = path;
    pf->main = false;
    if (bytes) read_rules(pf, bytes, size);
    pf->path = NULL;
    free(bytes);
}

/* A file's name in /etc, "" if it is elsewhere, where it is not looked for. */
static const char *in_etc(const char *file) {
    if (strncmp(file, "/private", 8) == 0) file += 8;
    return strncmp(file, "/etc/", 5) == 0 ? file + 5 : "";
}

/* All files in the folder for anchors, and others that rules name. What these name in turn is not followed.
 */
static void read_anchors(struct pf *pf) {
    char name[PATH_ROOM], **names;
    size_t count = audit_etc_names(pf->audit, "pf.anchors", &names), done = 0;
    json_t *named = json_copy(pf->files), *ignored;
    const char *file;
    for (size_t i = 0; i < count && i < PF_FILES; i++)
        read_file(pf, say(name, sizeof name, "pf.anchors/%s", names[i]));
    tree_names_free(names, count);
    json_object_foreach(named, file, ignored) {
        const char *own = in_etc(file);
        if (*own && strncmp(own, "pf.anchors/", 11) != 0 && done++ < PF_FILES) read_file(pf, own);
    }
    json_decref(named);
}

static void weigh_missing(struct pf *pf) {
    char why[WHY_ROOM] = "";
    size_t used = 0;
    if (!pf->there || pf->kept == (1u << SHIPPED) - 1) return;
    for (size_t i = 0; i < SHIPPED; i++)
        if (!(pf->kept >> i & 1))
            say(why + used, sizeof why - used, "%s%s", used ? "; " : "lacks ", shipped[i]),
                used = strlen(why);
    pf->changed = true;
    const struct finding finding = {
        .severity = "low",
        .title = "pf lacks anchors that macOS ships",
        .why = why,
        .file = "/etc/pf.conf",
        .next = "Without them, AirDrop's and the application firewall's rules do not count",
        .attack = "T1562.004",
        .about = "pf"};
    audit_find(pf->audit, &finding);
}

void read_packet_filter(struct audit *audit) {
    size_t size;
    char path[PATH_ROOM];
    struct pf pf = {.audit = audit,
                    .rdr = json_array(),
                    .nat = json_array(),
                    .anchors = json_array(),
                    .rules = json_array(),
                    .files = json_object(),
                    .main = true};
    char *bytes = audit_etc_file(audit, "pf.conf", true, &size, path);
    pf.path = path;
    pf.there = bytes != NULL;
    if (bytes) read_rules(&pf, bytes, size);
    free(bytes);
    weigh_missing(&pf);
    read_anchors(&pf);
    json_t *out = json_object();
    set_owned(out, "changed", json_boolean(pf.changed));
    set_owned(out, "rdr", pf.rdr);
    set_owned(out, "nat", pf.nat);
    set_owned(out, "anchors", pf.anchors);
    set_owned(out, "rules", pf.rules);
    json_object_set_new(audit->document, "pf", out);
    json_decref(pf.files);
    if (json_array_size(pf.rules) > 0) {
        char why[WHY_ROOM], shown[WHY_ROOM / 2];
        const struct finding finding = {.severity = "low",
                                        .title = "pf has rules that macOS does not ship",
                                        .why = say(why, sizeof why, "%zu: %s", json_array_size(pf.rules),
                                                   joined_texts(pf.rules, shown, sizeof shown)),
                                        .file = "/etc/pf.conf",
                                        .next = "Do they block what should get through (updates, security "
                                                "products), or let in what should not?",
                                        .attack = "T1562.004",
                                        .about = "pf"};
        audit_find(audit, &finding);
    }
}
