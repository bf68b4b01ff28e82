/* See plist_read.h. */
#include "audit/plist_read.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

plist_t plist_read(const char *bytes, size_t size, struct error *err) {
    plist_t root = NULL;
    if (plist_check(bytes, size, err) < 0) return NULL;
    if (strncmp(bytes, "bplist", 6) == 0)
        plist_from_bin(bytes, (uint32_t)size, &root);
    else
        plist_from_xml(bytes, (uint32_t)size, &root);
    if (!root) error_set(err, "a property list that is broken");
    return root;
}

bool plist_is(plist_t node, plist_type type) {
    return node && plist_get_node_type(node) == type;
}

plist_t plist_member(plist_t dict, const char *key) {
    return plist_is(dict, PLIST_DICT) ? plist_dict_get_item(dict, key) : NULL;
}

plist_t plist_dict(plist_t dict, const char *key) {
    plist_t value = plist_member(dict, key);
    return plist_is(value, PLIST_DICT) ? value : NULL;
}

plist_t plist_array(plist_t dict, const char *key) {
    plist_t value = plist_member(dict, key);
    return plist_is(value, PLIST_ARRAY) ? value : NULL;
}

json_t *text_json(const char *bytes, size_t length) {
    json_t *text = bytes && !memchr(bytes, 0, length) ? json_stringn(bytes, length) : NULL;
    if (text || !bytes) return text;
    char *clean = malloc(3 * length + 1), *out = clean;
    for (size_t i = 0; clean && i < length;) {
        uint32_t code, taken = utf8_decode((const uint8_t *)bytes + i, length - i, &code);
        bool fine = taken > 0 && code != 0;
        memcpy(out, fine ? bytes + i : "\xef\xbf\xbd", fine ? taken : 3);
        out += fine ? taken : 3;
        i += taken ? taken : 1;
    }
    if (clean) text = json_stringn(clean, (size_t)(out - clean));
    free(clean);
    return text;
}

json_t *plist_text_of(plist_t node) {
    uint64_t length = 0;
    if (!plist_is(node, PLIST_STRING)) return NULL;
    const char *text = plist_get_string_ptr(node, &length);
    return text && length ? text_json(text, length) : NULL;
}

json_t *plist_text(plist_t dict, const char *key) {
    return plist_text_of(plist_member(dict, key));
}

json_t *plist_texts(plist_t dict, const char *key, size_t most) {
    plist_t array = plist_array(dict, key);
    json_t *texts = json_array();
    uint32_t count = array ? plist_array_get_size(array) : 0;
    for (uint32_t i = 0; i < count && json_array_size(texts) < most; i++) {
        json_t *text = plist_text_of(plist_array_get_item(array, i));
        if (text) json_array_append_new(texts, text);
    }
    return texts;
}

int64_t plist_number(plist_t dict, const char *key, int64_t otherwise) {
    plist_t node = plist_member(dict, key);
    uint64_t number = 0, length = 0;
    uint8_t flag = 0;
    char *end;
    const char *text;
    switch (node ? plist_get_node_type(node) : PLIST_NONE) {
    case PLIST_UINT:
        plist_get_uint_val(node, &number);
        return (int64_t)number;
    case PLIST_BOOLEAN:
        plist_get_bool_val(node, &flag);
        return flag != 0;
    case PLIST_STRING:
        text = plist_get_string_ptr(node, &length);
        if (!text || length == 0 || length > 15 || strspn(text, "0123456789") != length) return otherwise;
        return strtoll(text, &end, 10);
    default:
        return otherwise;
    }
}

struct plist_walk plist_walk(plist_t dict) {
    struct plist_walk walk = {.dict = plist_is(dict, PLIST_DICT) ? dict : NULL};
    if (walk.dict) plist_dict_new_iter(dict, &walk.iter);
    return walk;
}

bool plist_next(struct plist_walk *walk) {
    free(walk->key);
    walk->key = NULL;
    walk->value = NULL;
    if (walk->iter) plist_dict_next_item(walk->dict, walk->iter, &walk->key, &walk->value);
    if (walk->key && walk->value) return true;
    plist_walk_end(walk);
    return false;
}

void plist_walk_end(struct plist_walk *walk) {
    free(walk->key);
    free(walk->iter);
    walk->key = NULL;
    walk->iter = NULL;
}
