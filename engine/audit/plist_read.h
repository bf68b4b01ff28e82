/* Property lists, XML and binary, from strangers: libplist reads them once a look at the bytes has shown that
 * they are no bomb.
 *
 * libplist copies an object each time it is referred to and follows nesting by calling itself. A binary file
 * of a kilobyte can so stand for more values than any memory holds, and one of a megabyte can end the stack.
 * Both are counted first (plist_check.c), and refused.
 *
 * What is looked for may be missing or of another type: then the answer is "absent". Nodes belong to their
 * root. */
#ifndef LUNETTE_AUDIT_PLIST_READ_H
#define LUNETTE_AUDIT_PLIST_READ_H

#include "base/error.h"

#include <jansson.h>
#include <plist/plist.h>
#include <stddef.h>
#include <stdint.h>

enum { PLIST_DEPTH = 64, PLIST_VALUES = 1000000, PLIST_BYTES = 128 << 20 };

/* NULL and why. Free with plist_free(). */
plist_t plist_read(const char *bytes, size_t size, struct error *err);

/* plist_check.c: is it safe to hand these bytes to libplist? -1 and why not. */
int plist_check(const char *bytes, size_t size, struct error *err);

/* The value of a key: NULL if there is none or `dict` is none. */
plist_t plist_member(plist_t dict, const char *key);
/* The same of a dictionary, and of an array. */
plist_t plist_dict(plist_t dict, const char *key);
plist_t plist_array(plist_t dict, const char *key);

bool plist_is(plist_t node, plist_type type);

/* Text of a string member (or of a node itself) as JSON, made valid UTF-8 without zero bytes; NULL if it is
 * none, or empty. The caller owns it. */
json_t *plist_text(plist_t dict, const char *key);
json_t *plist_text_of(plist_t node);

/* Texts of an array, of at most `most`; what is no text is left out. Never NULL unless memory is short. */
json_t *plist_texts(plist_t dict, const char *key, size_t most);

/* An integer, a boolean, or a string of digits; `otherwise` if it is none of these. */
int64_t plist_number(plist_t dict, const char *key, int64_t otherwise);

/* Walks a dictionary: the next key and value, false at its end; the caller frees *key with free() each time
 * and *iter at the end. */
struct plist_walk {
    plist_t dict;
    plist_dict_iter iter;
    char *key;
    plist_t value;
};
struct plist_walk plist_walk(plist_t dict);
bool plist_next(struct plist_walk *walk); /* frees what it held when it says false */
void plist_walk_end(struct plist_walk *walk);

/* Any bytes as a JSON string: what is not well-formed UTF-8, and zero bytes, become U+FFFD. NULL without
 * memory. */
json_t *text_json(const char *bytes, size_t length);

#endif
