/* See proxy_config.h. A response says what it is by its type. Where that is missing (an error, one side of
 * the traffic alone) the path tells: wpad.dat is what WPAD asks for, and nobody calls anything but a PAC file
 * NAME.pac.
 */
#include "protocol/proxy_config.h"

#include "protocol/http_head.h"

#include <strings.h>

static bool ends_with(struct slice text, const char *ending) {
    size_t n = strlen(ending);
    return text.length >= n && strncasecmp((const char *)text.at + text.length - n, ending, n) == 0;
}

static struct slice path_of(struct slice url) {
    for (uint32_t i = 0; i < url.length; i++)
        if (url.at[i] == '?' || url.at[i] == '#') return (struct slice){url.at, i};
    return url;
}

/* The two types that are in use, without parameters. */
static bool is_pac_type(struct slice type) {
    for (uint32_t i = 0; i < type.length; i++)
        if (type.at[i] == ';' || type.at[i] == ' ') type.length = i;
    return http_word_is(type, "application/x-ns-proxy-autoconfig") ||
           http_word_is(type, "application/x-javascript-config");
}

static const char *kind_of(const struct http_transaction *t) {
    struct slice path = path_of(http_transaction_get(t, HTTP_TEXT_URL));
    if (ends_with(path, "/wpad.dat") || ends_with(path, "/wpad.da")) return "wpad_http";
    if (is_pac_type(http_transaction_get(t, HTTP_TEXT_CONTENT_TYPE))) return "pac";
    return ends_with(path, ".pac") ? "pac" : NULL;
}

static struct text_ref text_of(struct batch *batch, const struct http_transaction *t,
                               enum http_text_field field) {
    if (!http_transaction_has(t, field)) return (struct text_ref){0};
    struct slice value = http_transaction_get(t, field);
    return batch_text(batch, value.at, value.length);
}

void proxy_config_fetched(struct conversation *c, const struct http_transaction *t) {
    if (!conversation_wants(c, EVENT_proxy_config)) return;
    const char *kind = kind_of(t);
    if (!kind) return;
    struct event_proxy_config *event = conversation_event(c, EVENT_proxy_config);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    event->head.time = t->time;
    event->body.kind = kind;
    event->body.host = text_of(batch, t, HTTP_TEXT_HOST);
    event->body.url = text_of(batch, t, HTTP_TEXT_URL);
    event->body.user_agent = text_of(batch, t, HTTP_TEXT_USER_AGENT);
    event->body.status = t->status;
    event->body.length = t->length;
    batch_commit(batch);
}

void proxy_config_asked(struct conversation *c, struct slice name, uint16_t type) {
    enum { TYPE_A = 1, TYPE_TXT = 16, TYPE_AAAA = 28 };
    bool wpad = name.length >= 4 && strncasecmp((const char *)name.at, "wpad", 4) == 0 &&
                (name.length == 4 || name.at[4] == '.');
    if (!wpad || (type != TYPE_A && type != TYPE_AAAA && type != TYPE_TXT)) return;
    struct event_proxy_config *event = conversation_event(c, EVENT_proxy_config);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    event->body.kind = "wpad_dns";
    event->body.host = batch_text(batch, name.at, name.length);
    batch_commit(batch);
}
