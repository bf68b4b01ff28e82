/* What plist_check() counts. Binary (Apple, CFBinaryPList.c: "bplist00", objects, a table of their offsets,
 * 32 bytes of trailer): how deep objects nest and what they come to when each reference is a copy, every
 * object looked at once. XML: how deep arrays and dictionaries nest. Where tags could be read in two ways
 * (attributes, a DTD of its own, which is where entities that grow come from) the file is refused: no program
 * that writes property lists does that. */
#include "audit/plist_read.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ── binary ──────────────────────────────────────────────────────── */

enum { OBJECT_WEIGHT = 96 }; /* bytes that libplist takes for a value, beside its own */

struct weighed {
    uint8_t state; /* 0: not looked at, 1: being looked at, 2: done */
    uint8_t depth;
    uint32_t values;
    uint64_t bytes;
};

struct binary {
    const uint8_t *bytes;
    uint64_t size, count, offsets;
    uint8_t offset_size, reference_size;
    struct weighed *objects;
};

static uint64_t big_endian(const uint8_t *at, uint8_t size) {
    uint64_t value = 0;
    for (uint8_t i = 0; i < size; i++) value = value << 8 | at[i];
    return value;
}

/* Length of an object whose marker is at `at`: in the marker, or in an integer behind it. False beyond the
 * end. */
static bool read_length(const struct binary *b, uint64_t *at, uint64_t *length) {
    *length = b->bytes[*at] & 0x0f;
    ++*at;
    if (*length != 0x0f) return true;
    if (*at >= b->size || (b->bytes[*at] & 0xf0) != 0x10) return false;
    uint8_t size = (uint8_t)(1u << (b->bytes[*at] & 0x0f));
    if ((b->bytes[*at] & 0x0f) > 3 || b->size - *at <= size) return false;
    *length = big_endian(b->bytes + *at + 1, size);
    *at += 1u + size;
    return true;
}

static bool weigh(struct binary *b, uint64_t number, int depth);

static bool weigh_references(struct binary *b, struct weighed *own, uint64_t at, uint64_t references,
                             int depth) {
    if (references > (b->size - at) / b->reference_size) return false;
    for (uint64_t i = 0; i < references; i++) {
        uint64_t number = big_endian(b->bytes + at + i * b->reference_size, b->reference_size);
        if (!weigh(b, number, depth + 1)) return false;
        const struct weighed *other = &b->objects[number];
        own->values += other->values;
        own->bytes += other->bytes;
        if (other->depth + 1 > own->depth) own->depth = (uint8_t)(other->depth + 1);
        if (own->values > PLIST_VALUES || own->bytes > PLIST_BYTES || depth + own->depth > PLIST_DEPTH)
            return false;
    }
    return true;
}

static bool weigh_object(struct binary *b, struct weighed *own, uint64_t at, int depth) {
    uint8_t kind = b->bytes[at] & 0xf0;
    uint64_t length = 0;
    own->values = 1;
    own->bytes = OBJECT_WEIGHT;
    if (kind < 0x40) return true; /* numbers and the like: libplist checks their size */
    if (kind == 0x80) return true;
    if (!read_length(b, &at, &length)) return false;
    if (kind == 0x40 || kind == 0x50 || kind == 0x60 || kind == 0x70) {
        if (length > b->size) return false;
        own->bytes += 4 * length;
        return own->bytes <= PLIST_BYTES;
    }
    if (kind == 0xa0 || kind == 0xc0) return weigh_references(b, own, at, length, depth);
    return kind == 0xd0 && length <= b->size && weigh_references(b, own, at, 2 * length, depth);
}

/* False: not a tree, or one that is too much. */
static bool weigh(struct binary *b, uint64_t number, int depth) {
    if (number >= b->count || depth > PLIST_DEPTH) return false;
    struct weighed *own = &b->objects[number];
    if (own->state == 2) return depth + own->depth <= PLIST_DEPTH;
    if (own->state == 1) return false;
    own->state = 1;
    uint64_t at = big_endian(b->bytes + b->offsets + number * b->offset_size, b->offset_size);
    if (at >= b->offsets || !weigh_object(b, own, at, depth)) return false;
    own->state = 2;
    return true;
}

static int check_binary(const char *bytes, size_t size, struct error *err) {
    if (size < 8 + 32) return error_set(err, "a binary property list that is cut short");
    const uint8_t *trailer = (const uint8_t *)bytes + size - 32;
    struct binary b = {.bytes = (const uint8_t *)bytes,
                       .size = size - 32,
                       .offset_size = trailer[6],
                       .reference_size = trailer[7],
                       .count = big_endian(trailer + 8, 8),
                       .offsets = big_endian(trailer + 24, 8)};
    uint64_t top = big_endian(trailer + 16, 8);
    if (b.offset_size < 1 || b.offset_size > 8 || b.reference_size < 1 || b.reference_size > 8 ||
        b.offsets > b.size || b.count > (b.size - b.offsets) / b.offset_size)
        return error_set(err, "a binary property list that is cut short, or none");
    b.objects = calloc(b.count ? b.count : 1, sizeof *b.objects);
    if (!b.objects) return error_set(err, "out of memory");
    bool fine = weigh(&b, top, 0);
    free(b.objects);
    return fine ? 0
                : error_set(
                      err,
                      "a binary property list that is broken, goes round in circles, or comes to more than "
                      "%d values, %d levels or %d MiB",
                      PLIST_VALUES, PLIST_DEPTH, PLIST_BYTES >> 20);
}

/* ── XML ─────────────────────────────────────────────────────────── */

struct xml {
    const char *at, *end;
    int depth;
    uint32_t values;
};

/* Behind the next `text`; false if there is none. */
static bool skip_past(struct xml *xml, const char *text) {
    const char *found = memmem(xml->at, (size_t)(xml->end - xml->at), text, strlen(text));
    if (found) xml->at = found + strlen(text);
    return found != NULL;
}

static bool begins(const struct xml *xml, const char *text) {
    size_t length = strlen(text);
    return (size_t)(xml->end - xml->at) >= length && memcmp(xml->at, text, length) == 0;
}

/* Behind the '>' of a tag that may have no other '<' in it, nor, if it is an element but the root, quotes. */
static bool skip_tag(struct xml *xml, bool may_quote, bool *closed) {
    const char *end = memchr(xml->at, '>', (size_t)(xml->end - xml->at));
    if (!end) return false;
    for (const char *at = xml->at; at < end; at++)
        if (*at == '<' || *at == '[' || (!may_quote && (*at == '"' || *at == '\'' || *at == '=')))
            return false;
    *closed = end > xml->at && end[-1] == '/';
    xml->at = end + 1;
    return true;
}

static bool is_name(const char *at, const char *end, const char *name) {
    size_t length = strlen(name);
    return (size_t)(end - at) > length && memcmp(at, name, length) == 0 && strchr(" \t\r\n/>", at[length]);
}

/* At a '<'. */
static bool read_tag(struct xml *xml) {
    bool closed;
    if (begins(xml, "<!--")) return skip_past(xml, "-->");
    if (begins(xml, "<![CDATA[")) return skip_past(xml, "]]>");
    if (begins(xml, "<?")) return skip_past(xml, "?>");
    if (begins(xml, "<!")) return xml->at++, skip_tag(xml, true, &closed);
    bool ends = begins(xml, "</");
    const char *name = xml->at += ends ? 2 : 1;
    bool nests = is_name(name, xml->end, "dict") || is_name(name, xml->end, "array");
    if (!skip_tag(xml, is_name(name, xml->end, "plist"), &closed)) return false;
    if (!ends) xml->values++;
    if (nests && ends) xml->depth--;
    if (nests && !ends && !closed) xml->depth++;
    return xml->depth >= 0 && xml->depth <= PLIST_DEPTH && xml->values <= PLIST_VALUES;
}

static int check_xml(const char *bytes, size_t size, struct error *err) {
    struct xml xml = {.at = bytes, .end = bytes + size};
    while ((xml.at = memchr(xml.at, '<', (size_t)(xml.end - xml.at))))
        if (!read_tag(&xml))
            return error_set(
                err,
                "a property list that is broken, nests deeper than %d, has more than %d values, or has "
                "XML that property lists do not have",
                PLIST_DEPTH, PLIST_VALUES);
    return 0;
}

int plist_check(const char *bytes, size_t size, struct error *err) {
    if (size >= 6 && memcmp(bytes, "bplist", 6) == 0) return check_binary(bytes, size, err);
    size_t skip = size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (skip < size && strchr(" \t\r\n", bytes[skip]) && bytes[skip]) skip++;
    if (skip < size && bytes[skip] == '<') return check_xml(bytes + skip, size - skip, err);
    return error_set(err, size == 0 ? "it is empty" : "no property list, neither XML nor binary");
}
