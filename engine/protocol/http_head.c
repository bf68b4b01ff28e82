/* HTTP/1.x start lines and header lines.
 *
 * Senders are sloppy and attackers inventive, so the functions take what a lenient server would take and
 * leave it to their caller to say what was odd about it. */
#include "protocol/http_head.h"

#include <strings.h>

/* A method is told at once when it is one of these; others must show their whole request line. */
static const char *const usual_methods[] = {
    "GET",   "POST", "HEAD", "PUT",  "DELETE", "OPTIONS",   "CONNECT", "PATCH",  "TRACE",     "PROPFIND",
    "MKCOL", "MOVE", "COPY", "LOCK", "UNLOCK", "PROPPATCH", "REPORT",  "SEARCH", "SUBSCRIBE", NULL};

/* Visible bytes of a target after which a request line with a usual method is believed without its end. */
enum { TARGET_CONVINCING = 512, METHOD_MAX = 24 };

static bool is_token_char(uint8_t c) {
    if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) return true;
    return c && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}
static bool is_blank(uint8_t c) {
    return c == ' ' || c == '\t';
}
static bool is_space(uint8_t c) {
    return is_blank(c) || c == '\r' || c == '\n';
}

static struct slice slice_of(const uint8_t *at, const uint8_t *end) {
    return (struct slice){at, (uint32_t)(end - at)};
}

static struct slice trim(struct slice s) {
    while (s.length && is_space(s.at[0])) s.at++, s.length--;
    while (s.length && is_space(s.at[s.length - 1])) s.length--;
    return s;
}

bool http_word_is(struct slice word, const char *text) {
    return word.length == strlen(text) && strncasecmp((const char *)word.at, text, word.length) == 0;
}

static bool usual_method(struct slice method) {
    for (int i = 0; usual_methods[i]; i++)
        if (slice_equals(method, usual_methods[i])) return true;
    return false;
}

/* How the bytes compare with "HTTP/1.": NO, MAYBE (too short) or YES. */
static enum recognised begins_version(const uint8_t *data, size_t length) {
    static const char version[] = "HTTP/1.";
    size_t compared = length < sizeof version - 1 ? length : sizeof version - 1;
    if (memcmp(data, version, compared) != 0) return RECOGNISED_NO;
    return compared == sizeof version - 1 ? RECOGNISED_YES : RECOGNISED_MAYBE;
}

/* What a target may hold: attackers put blanks and tabs into it, and servers take them. */
static bool is_target_char(uint8_t c) {
    return c == '\t' || (c >= 0x20 && c != 0x7f);
}

/* A request line that has not come to its end: believed when its version is there, or when a usual method has
 * a long enough target. */
static enum recognised open_request_line(struct slice method, const uint8_t *target, const uint8_t *end) {
    const uint8_t *blank = end > target ? memrchr(target, ' ', (size_t)(end - target)) : NULL;
    if (blank && begins_version(blank + 1, (size_t)(end - blank - 1)) == RECOGNISED_YES)
        return RECOGNISED_YES;
    return end - target >= TARGET_CONVINCING && usual_method(method) ? RECOGNISED_YES : RECOGNISED_MAYBE;
}

enum recognised http_recognise_request(const uint8_t *data, uint32_t length) {
    uint32_t method = 0;
    while (method < length && method <= METHOD_MAX && is_token_char(data[method])) method++;
    if (method > METHOD_MAX) return RECOGNISED_NO;
    if (method == length) return RECOGNISED_MAYBE;
    if (method < 3 || data[method] != ' ') return RECOGNISED_NO;

    const uint8_t *target = data + method + 1, *end = target, *stop = data + length;
    while (end < stop && is_target_char(*end)) end++;
    if (end == stop) return open_request_line((struct slice){data, method}, target, end);
    if (*end == '\r' && end + 1 == stop) return RECOGNISED_MAYBE;
    if (*end != '\n' && (*end != '\r' || end[1] != '\n')) return RECOGNISED_NO;
    struct http_request_line line;
    return http_request_line(slice_of(data, end), &line) ? RECOGNISED_YES : RECOGNISED_NO;
}

enum recognised http_recognise_status(const uint8_t *data, uint32_t length) {
    enum recognised version = begins_version(data, length);
    if (version != RECOGNISED_YES) return version;
    if (length < 12) return RECOGNISED_MAYBE;
    bool status =
        is_digit(data[7]) && data[8] == ' ' && is_digit(data[9]) && is_digit(data[10]) && is_digit(data[11]);
    return status ? RECOGNISED_YES : RECOGNISED_NO;
}

bool http_request_line(struct slice line, struct http_request_line *out) {
    const uint8_t *end = line.at + line.length, *method_end = line.at;
    while (method_end < end && is_token_char(*method_end)) method_end++;
    if (method_end == line.at || method_end == end || !is_blank(*method_end)) return false;

    struct slice rest = trim(slice_of(method_end, end));
    if (rest.length < 8) return false;
    const uint8_t *version = rest.at + rest.length - 8;
    if (begins_version(version, 8) != RECOGNISED_YES || !is_digit(version[7])) return false;
    if (version == rest.at || !is_blank(version[-1])) return false;
    out->method = slice_of(line.at, method_end);
    out->target = trim(slice_of(rest.at, version));
    out->minor = (uint8_t)(version[7] - '0');
    return out->target.length > 0;
}

bool http_status_line(struct slice line, struct http_status_line *out) {
    if (line.length < 12 || http_recognise_status(line.at, line.length) != RECOGNISED_YES) return false;
    if (line.length > 12 && !is_blank(line.at[12])) return false;
    out->minor = (uint8_t)(line.at[7] - '0');
    out->status = (uint16_t)((line.at[9] - '0') * 100 + (line.at[10] - '0') * 10 + (line.at[11] - '0'));
    return out->status >= 100;
}

enum http_header_id http_header_id(struct slice name) {
    static const struct {
        const char *name;
        enum http_header_id id;
    } known[] = {
        {"host", HTTP_HOST},
        {"user-agent", HTTP_USER_AGENT},
        {"referer", HTTP_REFERER},
        {"cookie", HTTP_COOKIE},
        {"content-type", HTTP_CONTENT_TYPE},
        {"content-length", HTTP_CONTENT_LENGTH},
        {"transfer-encoding", HTTP_TRANSFER_ENCODING},
        {"location", HTTP_LOCATION},
        {"server", HTTP_SERVER},
        {"upgrade", HTTP_UPGRADE},
        {"origin", HTTP_ORIGIN},
        {"sec-websocket-protocol", HTTP_WEBSOCKET_PROTOCOL},
        {"sec-websocket-extensions", HTTP_WEBSOCKET_EXTENSIONS},
        {"authorization", HTTP_AUTHORIZATION},
        {"proxy-authorization", HTTP_AUTHORIZATION},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (http_word_is(name, known[i].name)) return known[i].id;
    return HTTP_OTHER;
}

bool http_header_line(struct slice line, struct http_header *out) {
    const uint8_t *end = line.at + line.length, *name_end = line.at;
    while (name_end < end && is_token_char(*name_end)) name_end++;
    const uint8_t *colon = name_end;
    while (colon < end && is_blank(*colon)) colon++;
    if (name_end == line.at || colon == end || *colon != ':') return false;
    out->blank_before_colon = colon != name_end;
    out->name = slice_of(line.at, name_end);
    out->value = trim(slice_of(colon + 1, end));
    out->id = http_header_id(out->name);
    return true;
}

static bool is_host_char(uint8_t c) {
    return c > 0x20 && c < 0x7f && !strchr("/\\?#@,\"<>", c);
}

static bool is_address(struct slice host) {
    char text[IP_TEXT_SIZE];
    struct ip address;
    if (host.length >= sizeof text) return false;
    memcpy(text, host.at, host.length);
    text[host.length] = '\0';
    return ip_parse(text, &address) == 0;
}

static bool parse_port(struct slice digits, uint16_t *port) {
    uint32_t number = 0;
    for (uint32_t i = 0; i < digits.length; i++) {
        if (!is_digit(digits.at[i])) return false;
        number = number * 10 + (digits.at[i] - '0');
        if (number > UINT16_MAX) return false;
    }
    *port = (uint16_t)number;
    return true;
}

bool http_authority(struct slice text, struct http_authority *out) {
    *out = (struct http_authority){0};
    if (text.length == 0) return true;
    const uint8_t *end = text.at + text.length;
    const uint8_t *at = memrchr(text.at, '@', text.length);
    struct slice host = slice_of(at ? at + 1 : text.at, end);
    for (uint32_t i = 0; i < host.length; i++)
        if (!is_host_char(host.at[i])) return false;

    const uint8_t *host_end;
    if (host.length && host.at[0] == '[') {
        const uint8_t *bracket = memchr(host.at, ']', host.length);
        if (!bracket) return false;
        host_end = bracket + 1;
        out->host = slice_of(host.at + 1, bracket);
    } else {
        const uint8_t *colon = host.length ? memchr(host.at, ':', host.length) : NULL;
        host_end = colon ? colon : end;
        out->host = slice_of(host.at, host_end);
    }
    out->address = is_address(out->host);
    if (host_end == end) return true;
    return *host_end == ':' && parse_port(slice_of(host_end + 1, end), &out->port);
}

struct slice http_target_authority(struct slice target) {
    const uint8_t *at = target.at, *end = at + target.length;
    while (at < end && ((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z'))) at++;
    if (at == target.at || end - at < 3 || memcmp(at, "://", 3) != 0) return (struct slice){0};
    at += 3;
    const uint8_t *stop = at;
    while (stop < end && *stop != '/' && *stop != '?' && *stop != '#') stop++;
    return slice_of(at, stop);
}

bool http_length(struct slice value, uint64_t *out) {
    uint64_t number = 0;
    if (value.length == 0) return false;
    for (uint32_t i = 0; i < value.length; i++) {
        if (!is_digit(value.at[i]) || number > (INT64_MAX - 9) / 10) return false;
        number = number * 10 + (value.at[i] - '0');
    }
    *out = number;
    return true;
}

static int hex_digit(uint8_t c) {
    if (is_digit(c)) return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool http_chunk_size(struct slice line, uint64_t *out) {
    line = trim(line);
    uint64_t number = 0;
    uint32_t i = 0;
    for (; i < line.length && hex_digit(line.at[i]) >= 0; i++) {
        if (number >> 58) return false;
        number = number << 4 | (unsigned)hex_digit(line.at[i]);
    }
    if (i == 0) return false;
    *out = number;
    return i == line.length || line.at[i] == ';' || is_blank(line.at[i]);
}

bool http_ends_chunked(struct slice value) {
    const uint8_t *comma = value.length ? memrchr(value.at, ',', value.length) : NULL;
    struct slice last = comma ? slice_of(comma + 1, value.at + value.length) : value;
    return http_word_is(trim(last), "chunked");
}
