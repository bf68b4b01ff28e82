/* The JSON line is read with jansson; only lines of the wanted kinds are read at all, told by their first
 * "event_type", which every record has near its beginning. */
#include "output/syslog.h"

#include "base/utf8.h"
#include "event/alert.h"

#include <jansson.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { FACILITY = 4, VALUE_MOST = 1024, HOST_SIZE = 256 };

static const char type_key[] = "\"event_type\":\"";

bool syslog_wants(const char *type, size_t length) {
    return (length == 5 && memcmp(type, "alert", 5) == 0) || (length == 6 && memcmp(type, "sensor", 6) == 0);
}

static bool is_wanted(const char *line, size_t length) {
    const char *key = memmem(line, length, type_key, sizeof type_key - 1);
    if (!key) return false;
    key += sizeof type_key - 1;
    const char *end = memchr(key, '"', length - (size_t)(key - line));
    return end && syslog_wants(key, (size_t)(end - key));
}

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* Whole characters of at most `most` bytes; control bytes and what reorders text as \xNN; `escaped`
 * characters get a backslash (section 6.3.3: " \ and ] in a PARAM-VALUE). */
static void put_text(struct buffer *b, const char *text, size_t most, const char *escaped) {
    const uint8_t *p = (const uint8_t *)text, *end = p + strlen(text);
    size_t start = b->length;
    while (p < end) {
        uint32_t code, used = utf8_decode(p, (size_t)(end - p), &code);
        if (b->length - start + 20 > most) break;
        if (used && utf8_is_shown(code)) {
            if (used == 1 && strchr(escaped, (char)code)) buffer_char(b, '\\');
            buffer_put(b, p, used);
        } else {
            used = used ? used : 1;
            for (uint32_t i = 0; i < used; i++) /* the backslash of \xNN is one to be escaped, too */
                buffer_format(b, "%s\\x%02x", *escaped ? "\\" : "", p[i]);
        }
        p += used;
    }
}

static void put_param(struct buffer *b, const char *name, const char *value) {
    if (!value[0]) return;
    buffer_format(b, " %s=\"", name);
    put_text(b, value, VALUE_MOST, "\"\\]");
    buffer_char(b, '"');
}

static void put_number(struct buffer *b, const char *name, const json_t *value) {
    if (!json_is_number(value)) return;
    if (json_is_integer(value))
        buffer_format(b, " %s=\"%lld\"", name, (long long)json_integer_value(value));
    else /* what was written with up to 15 digits is read again as it was */
        buffer_format(b, " %s=\"%.15g\"", name, json_real_value(value));
}

/* EVE writes +0000, RFC 3339 has +00:00 or Z. */
static void put_timestamp(struct buffer *b, const char *eve) {
    size_t length = strlen(eve);
    if (length > 6 && length < 40 && strcmp(eve + length - 5, "+0000") == 0) {
        buffer_put(b, eve, length - 5);
        buffer_char(b, 'Z');
    } else {
        buffer_char(b, '-');
    }
}

/* PRINTUSASCII, or "-". */
static void put_host(struct buffer *b) {
    char host[HOST_SIZE] = "";
    if (gethostname(host, sizeof host - 1) != 0 || !host[0]) {
        buffer_char(b, '-');
        return;
    }
    for (const char *p = host; *p; p++) buffer_char(b, *p > 32 && *p < 127 ? *p : '_');
}

static void put_techniques(struct buffer *b, const json_t *alert) {
    const json_t *list = json_object_get(json_object_get(alert, "metadata"), "mitre_technique_id");
    char text[256] = "";
    size_t length = 0, index;
    json_t *item;
    json_array_foreach(list, index, item) {
        const char *one = json_string_value(item);
        if (!one || length + strlen(one) + 2 > sizeof text) continue;
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%s", length ? "," : "", one);
    }
    put_param(b, "attack", text);
}

static void put_alert_data(struct buffer *b, const json_t *record) {
    const json_t *alert = json_object_get(record, "alert"), *own = json_object_get(record, "lunette");
    put_param(b, "detector", text_of(own, "detector"));
    put_param(b, "title", text_of(alert, "signature"));
    put_param(b, "category", text_of(alert, "category"));
    put_param(b, "severity",
              ((const char *const[]){
                  "", "high", "medium", "low",
                  "info"})[(unsigned)json_integer_value(json_object_get(alert, "severity")) % 5]);
    put_param(b, "who", text_of(own, "who"));
    put_param(b, "where", text_of(own, "where"));
    put_techniques(b, alert);
    put_number(b, "score", json_object_get(own, "score"));
    put_number(b, "confidence", json_object_get(own, "confidence"));
    put_number(b, "signature_id", json_object_get(alert, "signature_id"));
    put_param(b, "src_ip", text_of(record, "src_ip"));
    put_number(b, "src_port", json_object_get(record, "src_port"));
    put_param(b, "dest_ip", text_of(record, "dest_ip"));
    put_number(b, "dest_port", json_object_get(record, "dest_port"));
    put_param(b, "proto", text_of(record, "proto"));
    put_param(b, "community_id", text_of(record, "community_id"));
    put_param(b, "pcap_file", text_of(own, "pcap_file"));
}

/* How much text the message may still take. */
static size_t left(const struct buffer *b) {
    return b->length < SYSLOG_MESSAGE_MOST ? SYSLOG_MESSAGE_MOST - b->length : 0;
}

static void put_alert_text(struct buffer *b, const json_t *record) {
    const json_t *own = json_object_get(record, "lunette");
    const char *who = text_of(own, "who"), *where = text_of(own, "where"), *why = text_of(own, "why");
    put_text(b, text_of(json_object_get(record, "alert"), "signature"), left(b), "");
    if (who[0] || where[0]) buffer_string(b, ": ");
    put_text(b, who, left(b), "");
    if (who[0] && where[0]) buffer_string(b, " \xe2\x86\x92 ");
    put_text(b, where, left(b), "");
    if (why[0]) buffer_string(b, ". ");
    put_text(b, why, left(b), "");
}

static unsigned priority(json_int_t severity) {
    static const unsigned char levels[] = {6, 2, 4, 5, 6};
    return FACILITY * 8 + levels[severity >= SEVERITY_HIGH && severity <= SEVERITY_INFO ? severity : 0];
}

/* The pid and the host's name are asked for each time: both are cheap, and alerts are rare. */
static void put_message(struct buffer *b, const json_t *record) {
    const json_t *alert = json_object_get(record, "alert"), *sensor = json_object_get(record, "sensor");
    buffer_format(b, "<%u>1 ", priority(json_integer_value(json_object_get(alert, "severity"))));
    put_timestamp(b, text_of(record, "timestamp"));
    buffer_char(b, ' ');
    put_host(b);
    buffer_format(b, " lunette %ld %s [lunette@32473", (long)getpid(), alert ? "alert" : "sensor");
    if (alert)
        put_alert_data(b, record);
    else
        put_param(b, "what", text_of(sensor, "what"));
    buffer_string(b, "] \xef\xbb\xbf"); /* the byte order mark says that UTF-8 follows (section 6.4) */
    if (alert)
        put_alert_text(b, record);
    else
        put_text(b, text_of(sensor, "message"), left(b), "");
}

static bool put_frame(struct buffer *frames, const char *line, size_t length) {
    json_t *record = json_loadb(line, length, 0, NULL);
    if (!record) return false;
    const json_t *sensor = json_object_get(record, "sensor");
    struct buffer message = {0};
    bool told = sensor && json_object_get(sensor, "severity");
    if (!told) put_message(&message, record);
    json_decref(record);
    bool made = !message.failed;
    if (made && message.length) {
        buffer_u64(frames, message.length);
        buffer_char(frames, ' ');
        buffer_put(frames, message.at, message.length);
    }
    buffer_free(&message);
    return made;
}

uint64_t syslog_frames(struct buffer *frames, const char *lines, size_t length) {
    uint64_t failed = 0;
    for (const char *end = lines + length, *feed; lines < end; lines = feed + 1) {
        feed = memchr(lines, '\n', (size_t)(end - lines));
        if (!feed) break;
        size_t one = (size_t)(feed - lines), before = frames->length;
        if (!is_wanted(lines, one)) continue;
        if (put_frame(frames, lines, one) && !frames->failed) continue;
        frames->length = before;
        frames->failed = false;
        failed++;
    }
    return failed;
}
