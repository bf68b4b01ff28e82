/* See encrypted_dns.h. */
#include "protocol/encrypted_dns.h"

#include "protocol/text_words.h"

enum { DNS_PORT = 853, EVIDENCE_MOST = 5, RESOLVER_MOST = 255 };

static const struct {
    const char *name, *provider;
} resolvers[] = {
#define RESOLVER(name, provider) {name, provider},
#include "protocol/resolvers.def"
#undef RESOLVER
};

struct finding {
    const char *kind;
    const char *evidence[EVIDENCE_MOST];
    uint32_t count;
    const char *provider;
};

static void find(struct finding *finding, const char *kind, const char *evidence) {
    if (!finding->kind) finding->kind = kind;
    if (finding->count < EVIDENCE_MOST) finding->evidence[finding->count++] = evidence;
}

const char *encrypted_dns_provider(struct slice name) {
    for (size_t i = 0; i < sizeof resolvers / sizeof resolvers[0]; i++) {
        uint32_t length = (uint32_t)strlen(resolvers[i].name);
        if (name.length < length) continue;
        const uint8_t *tail = name.at + name.length - length;
        if (memcmp(tail, resolvers[i].name, length) != 0) continue;
        if (tail == name.at || tail[-1] == '.') return resolvers[i].provider;
    }
    return NULL;
}

/* `begins`: names that go on behind it count too. */
static bool offers(struct slice alpn, const char *protocol, bool begins) {
    uint32_t least = (uint32_t)strlen(protocol);
    struct cursor c = cursor_over(alpn.at, alpn.length);
    while (cursor_left(&c) > 0) {
        uint8_t length = cursor_u8(&c);
        const uint8_t *name = cursor_take(&c, length);
        if (!name) return false;
        if (length < least || (length > least && !begins)) continue;
        if (memcmp(name, protocol, least) == 0) return true;
    }
    return false;
}

static void report(struct conversation *c, const struct finding *finding, struct slice name) {
    struct event_encrypted_dns *event = conversation_event(c, EVENT_encrypted_dns);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct text_ref evidence[EVIDENCE_MOST];
    for (uint32_t i = 0; i < finding->count; i++) evidence[i] = batch_string(batch, finding->evidence[i]);
    if (name.length > RESOLVER_MOST) name.length = RESOLVER_MOST;
    event->body.kind = finding->kind;
    event->body.provider = finding->provider;
    if (name.length > 0) event->body.resolver = batch_text(batch, name.at, name.length);
    event->body.evidence = batch_list(batch, evidence, finding->count);
    batch_commit(batch);
}

void encrypted_dns_of_hello(struct conversation *c, const struct client_hello *hello, bool quic) {
    if (!conversation_wants(c, EVENT_encrypted_dns)) return;
    struct finding finding = {.provider = encrypted_dns_provider(hello->sni)};
    /* Drafts of RFC 9250 said doq-i00 and so on. */
    if (offers(hello->alpn, quic ? "doq" : "dot", false) || (quic && offers(hello->alpn, "doq-i", true)))
        find(&finding, quic ? "doq" : "dot", "alpn");
    if (conversation_server_port(c) == DNS_PORT) find(&finding, quic ? "doq" : "dot", "port");
    if (finding.provider) find(&finding, "doh", "name");
    if (finding.count > 0) report(c, &finding, hello->sni);
}

/* /dns-query is RFC 8484's own example, and what nearly all resolvers took. */
static bool resolver_path(struct slice target) {
    static const char path[] = "/dns-query";
    size_t length = sizeof path - 1;
    return word_begins(target, path) &&
           (target.length == length || target.at[length] == '?' || target.at[length] == '/');
}

bool encrypted_dns_of_http(struct conversation *c, const struct encrypted_dns_request *request) {
    static const char type[] = "application/dns-message";
    struct finding finding = {0};
    if (word_begins(request->request_type, type) || word_begins(request->response_type, type))
        find(&finding, "doh", "content_type");
    if (resolver_path(request->target)) find(&finding, "doh", "path");
    if (finding.count == 0) return false;
    finding.provider = encrypted_dns_provider(request->host);
    if (finding.provider) find(&finding, "doh", "name");
    report(c, &finding, request->host);
    return true;
}
