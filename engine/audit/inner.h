/* What the readers of an audit share; nobody outside this folder includes it. */
#ifndef LUNETTE_AUDIT_INNER_H
#define LUNETTE_AUDIT_INNER_H

#include "audit/plist_read.h"
#include "audit/tree.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { LIST_MOST = 20000, TEXTS_MOST = 256, PATH_ROOM = 1024, WHY_ROOM = 900 };

struct audit {
    struct tree *tree;
    json_t *document;
    unsigned read, failed;
};

/* The document's list of that name. */
json_t *audit_list(const struct audit *audit, const char *name);

/* Appends, up to LIST_MOST; takes the item over. */
void audit_add(const struct audit *audit, const char *list, json_t *item);

/* Notes in "files" what became of a file: "read", or why not. */
void audit_note(struct audit *audit, const char *path, const char *status);

/* A file's bytes, or NULL. Its fate is noted, that it is not there only if `expected`. The caller frees them.
 */
char *audit_file(struct audit *audit, const char *path, bool expected, size_t *size);
plist_t audit_plist(struct audit *audit, const char *path, bool expected);

/* The names in a folder; none if it is not there. Free with tree_names_free(). */
size_t audit_names(struct audit *audit, const char *path, char ***names);

/* A file of /etc, be it there or in /private/etc, to which the first is a link on a Mac; `path` gets its name
 * in /etc. */
char *audit_etc_file(struct audit *audit, const char *name, bool expected, size_t *size,
                     char path[PATH_ROOM]);
size_t audit_etc_names(struct audit *audit, const char *name, char ***names);

struct finding {
    const char *severity; /* high, medium, low, info */
    const char *title;
    const char *why;
    const char *file, *key; /* key: path in a property list, or "line 12" */
    const char *next, *attack;
    const char
        *about; /* which part of the configuration: what changed since an earlier audit is raised by it */
};
void audit_find(const struct audit *audit, const struct finding *finding);

/* Worst first; equals stay as they were found. */
void audit_sort_findings(json_t *document);

/* Members of JSON objects; "" and 0 for what is absent. Setting NULL sets nothing. */
const char *text_at(const json_t *object, const char *key);
void set_text(json_t *object, const char *key, const char *text);
void set_owned(json_t *object, const char *key, json_t *value);
bool has_text(const json_t *list, const char *text);

/* The texts of a list, with commas between them, cut where the room ends. */
const char *joined_texts(const json_t *list, char *out, size_t size);

/* Into a buffer, cut at a character's border. Returns it. */
__attribute__((format(printf, 3, 4))) const char *say(char *out, size_t size, const char *format, ...);

/* The readers. */
void read_preferences(struct audit *audit);
void read_interfaces(struct audit *audit);
void read_profiles(struct audit *audit);
void read_extensions(struct audit *audit);
void read_name_files(struct audit *audit);
void read_packet_filter(struct audit *audit);
void read_agents(struct audit *audit);
void read_browsers(struct audit *audit);

/* proxies.c: those that are on in a dictionary of SystemConfiguration's Proxies keys, as a list. */
json_t *proxies_read(plist_t proxies);
/* Adds one: {kind, host, port, url}; port 0, NULL: absent. */
void proxy_add(json_t *list, const char *kind, const json_t *host, int64_t port, const json_t *url);

/* Weighs what was read: adds findings. */
void weigh_proxies(struct audit *audit);
void weigh_names(struct audit *audit);
void weigh_services(struct audit *audit);

/* known.c */
const char *known_resolver(const char *address);        /* whose public resolver it is, or NULL */
const char *known_encrypted_resolver(const char *host); /* by name */
bool is_loopback(const char *host);
bool is_private(const char *host); /* an address that is not on the Internet */
bool is_public_address(const char *host);
bool is_apple_name(const char *name);
bool is_guarding_name(const char *name);                 /* security products, certificates, updates */
bool is_below(const char *name, const char *domain);     /* it, or a name below it; without regard to case */
const char *host_of_url(const char *url, char out[256]); /* "" if there is none */

#endif
