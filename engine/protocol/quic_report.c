/* The events of a QUIC handshake: `quic` for what is QUIC's, `tls` for the hellos inside. */
#include "protocol/quic_state.h"

static const char *why_not(const struct quic *q) {
    if (!q->version) return "version";
    if (q->version->family > QUIC_GOOGLE_SEAL) return "part";
    if (q->cut) return "cut";
    if (q->has_keys) return "part";
    return q->has_initial ? "keys" : "none";
}

static void fill_chlo(const struct quic *q, struct batch *batch, struct event_quic_body *body) {
    if (q->chlo_sni_length > 0) body->sni = batch_text(batch, q->chlo_sni, q->chlo_sni_length);
    if (q->chlo_agent_length > 0) body->user_agent = batch_text(batch, q->chlo_agent, q->chlo_agent_length);
}

static void fill_hello(const struct client_hello *hello, struct batch *batch, struct event_quic_body *body) {
    if (hello->sni.length > 0) body->sni = batch_text(batch, hello->sni.at, hello->sni.length);
    if (hello->alpn.length > 0) body->alpns = tls_event_alpns(batch, hello->alpn);
    if (hello->quic.length > 0) quic_hello_parameters(batch, body, hello->quic);
}

static void report_quic(struct conversation *c, const struct quic *q) {
    struct event_quic *event = conversation_event(c, EVENT_quic);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct event_quic_body *body = &event->body;
    event->head.time = q->time;
    body->version = q->version ? q->version->word : NULL;
    body->version_number = q->number;
    body->decrypted = q->hello || q->has_chlo;
    if (!body->decrypted) body->why_not = why_not(q);
    body->retry = q->retry;
    body->version_negotiation = q->negotiation;
    body->zero_rtt = q->zero_rtt;
    body->token = q->token;
    body->dcid_length = q->dcid_length;
    body->scid_length = q->scid_length;
    body->server_scid_length = q->server_scid_length;
    if (q->hello) fill_hello(q->hello, batch, body);
    if (q->has_chlo) fill_chlo(q, batch, body);
    batch_commit(batch);
}

static void report_tls(struct conversation *c, const struct quic *q) {
    if (!q->hello && !q->has_server_hello) return;
    struct event_tls *event = conversation_event(c, EVENT_tls);
    if (!event) return;
    struct batch *batch = conversation_batch(c);
    struct event_tls_body *body = &event->body;
    event->head.time = q->hello ? q->hello_time : q->server_time;
    body->quic = true;
    if (q->has_server_hello) tls_event_server(batch, body, &q->said);
    if (q->hello) {
        tls_event_client(batch, body, q->hello, q->ja4);
        body->service = tls_service_word(q->hello, &event->head);
    }
    batch_commit(batch);
}

void quic_report(struct conversation *c, struct quic *q) {
    if (q->datagrams == 0) return;
    report_quic(c, q);
    report_tls(c, q);
}
