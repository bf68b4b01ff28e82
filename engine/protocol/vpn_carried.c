/* Tunnels that hide in TLS or HTTP, as far as these still show something.
 *
 * Tor makes up names: the client asks for www.RANDOM.com, and the relay's certificate, where TLS 1.2 shows
 * it, is issued by one www.RANDOM.com to another www.RANDOM.net, with nothing else in either name; RANDOM is
 * base32, of 8 to 20 letters (tor, src/core/or and src/lib/tls/tortls.c). That pair is nobody else's. Where
 * TLS 1.3 hides the certificate the name alone is left: it is told as likely if no DNS answer gave the
 * address that name or any other, no ALPN is offered and the letters hold several digits, and not at all
 * else.
 *
 * Tailscale's relays are called derp*.tailscale.com; in clear they are asked to upgrade to DERP. SSTP and
 * Cisco's CSTP are HTTP inside TLS: only where TLS was taken off, or left out, can their requests be seen. */
#include "protocol/certificate_cache.h"
#include "protocol/tls_hello.h"
#include "protocol/vpn.h"

enum { TOR_LEAST = 4, TOR_MOST = 25, TOR_ALONE_LEAST = 8, TOR_DIGITS = 2 };

static struct slice slice_from(struct slice s, uint32_t n) {
    return (struct slice){s.at + n, s.length - n};
}

/* The made-up part of "www.RANDOM" and `tld`, or nothing. */
static struct slice tor_label(struct slice name, const char *tld) {
    struct slice none = {NULL, 0};
    if (!slice_begins(name, "www.") || !slice_ends(name, tld) || name.length < 4 + strlen(tld)) return none;
    struct slice label = {name.at + 4, name.length - 4 - (uint32_t)strlen(tld)};
    if (label.length < TOR_LEAST || label.length > TOR_MOST) return none;
    for (uint32_t i = 0; i < label.length; i++) {
        uint8_t b = label.at[i];
        if (!(b >= 'a' && b <= 'z') && !(b >= '2' && b <= '7')) return none;
    }
    return label;
}

/* "CN=www.x.net" → www.x.net, if there is nothing but a common name. */
static struct slice only_name(const struct batch *batch, struct text_ref dn) {
    struct slice text = {(const uint8_t *)batch->text + dn.at, dn.length};
    if (dn.at == 0 || !slice_begins(text, "CN=")) return (struct slice){NULL, 0};
    return slice_from(text, 3);
}

/* Is it a certificate of a Tor relay? */
static bool tor_certificate(struct conversation *c, struct slice leaf, struct certificate_cache *cache,
                            struct vpn_finding *finding) {
    struct batch *batch = conversation_batch(c);
    if (!conversation_event(c, EVENT_vpn)) return false;
    struct event_tls_body body = {0};
    bool tor = false;
    if (certificate_cache_describe(cache, leaf, batch, &body)) {
        struct slice subject = only_name(batch, body.subject), issuer = only_name(batch, body.issuer);
        tor = tor_label(subject, ".net").length > 0 && tor_label(issuer, ".com").length > 0;
        if (tor)
            vpn_evidence(
                finding, "certificate for %.*s issued by %.*s, made-up names with nothing beside them",
                (int)subject.length, (const char *)subject.at, (int)issuer.length, (const char *)issuer.at);
    }
    batch_drop(batch);
    return tor;
}

static bool made_up(struct slice label) {
    uint32_t digits = 0;
    for (uint32_t i = 0; i < label.length; i++) digits += label.at[i] < 'a';
    return label.length >= TOR_ALONE_LEAST && digits >= TOR_DIGITS;
}

static bool named_by_dns(const struct conversation *c) {
    const struct decoded *p = c->packet;
    if (!p) return true;
    return names_find(conversation_names(c), &p->src, &p->dst, c->time, NULL).length > 0 ||
           names_find(conversation_names(c), &p->dst, &p->src, c->time, NULL).length > 0;
}

static void find_tor(struct conversation *c, const struct client_hello *hello, struct slice leaf,
                     struct certificate_cache *cache) {
    if (hello->alpn.length > 0) return;
    struct vpn_finding finding = {
        .kind = "tor", .transport = "tls", .phase = "handshake", .both_sides = leaf.length > 0};
    struct slice asked = tor_label(hello->sni, ".com");
    if (leaf.length > 0) {
        finding.certain = asked.length > 0;
        if (tor_certificate(c, leaf, cache, &finding)) vpn_report(c, &finding);
        return;
    }
    if (!made_up(asked) || named_by_dns(c)) return;
    vpn_evidence(&finding, "the name %.*s is base32, no DNS answer led to it, and no ALPN is offered",
                 (int)hello->sni.length, (const char *)hello->sni.at);
    vpn_report(c, &finding);
}

void vpn_in_tls(struct conversation *c, const struct client_hello *hello, struct slice leaf,
                struct certificate_cache *cache) {
    if (!conversation_wants(c, EVENT_vpn)) return;
    if (slice_begins(hello->sni, "derp") && slice_ends(hello->sni, ".tailscale.com")) {
        struct vpn_finding finding = {.kind = "tailscale",
                                      .product = "Tailscale",
                                      .transport = "tls",
                                      .mode = "derp",
                                      .phase = "handshake"};
        vpn_evidence(&finding, "TLS to %.*s: a relay of Tailscale's by its name", (int)hello->sni.length,
                     (const char *)hello->sni.at);
        vpn_report(c, &finding);
        return;
    }
    find_tor(c, hello, leaf, cache);
}

void vpn_in_http(struct conversation *c, struct slice method, struct slice url, struct slice upgrade,
                 uint16_t status) {
    if (!conversation_wants(c, EVENT_vpn)) return;
    struct vpn_finding finding = {.transport = "http", .phase = "handshake"};
    if (slice_equals(method, "SSTP_DUPLEX_POST")) {
        finding.kind = "sstp";
        vpn_evidence(&finding, "request SSTP_DUPLEX_POST, answered with status %u", status);
    } else if (slice_equals(method, "CONNECT") && slice_begins(url, "/CSCOSSLC/tunnel")) {
        finding.kind = "anyconnect";
        finding.product = "Cisco AnyConnect";
        vpn_evidence(&finding, "request CONNECT /CSCOSSLC/tunnel, answered with status %u", status);
    } else if (slice_equals(upgrade, "DERP") || slice_equals(upgrade, "derp")) {
        finding.kind = "tailscale";
        finding.mode = "derp";
        vpn_evidence(&finding,
                     "HTTP upgrade to DERP, the protocol of Tailscale's relays, answered with status %u",
                     status);
    } else {
        return;
    }
    finding.certain = status != 0;
    finding.both_sides = status != 0;
    vpn_report(c, &finding);
}
