/* What a parser may ask of the room and tell it: see protocol.h. */
#include "flow/rebind.h"
#include "flow/talk.h"

void *conversation_event(struct conversation *c, enum event_kind kind) {
    void *event = batch_begin(c->room->around.batch, kind);
    if (event) flow_fill_head(c->room, c->flow, c->time, event); /* an event begins with its head */
    return event;
}

struct batch *conversation_batch(const struct conversation *c) {
    return c->room->around.batch;
}

bool conversation_is_tcp(const struct conversation *c) {
    return flow_is_tcp(c->flow);
}

bool conversation_wants(const struct conversation *c, enum event_kind kind) {
    const bool *wants = c->room->around.batch->listener.wants;
    return wants && wants[kind];
}

void conversation_set_name(struct conversation *c, enum name_source source, struct slice name) {
    facts_name(c->room, c->flow, source, name);
}

struct slice conversation_name(const struct conversation *c) {
    const struct flow_facts *facts = flow_facts_if(c->room, c->flow);
    if (!facts || !facts->name) return (struct slice){NULL, 0};
    return (struct slice){(const uint8_t *)facts->name, facts->name_length};
}

void conversation_set_ja4(struct conversation *c, struct slice ja4) {
    facts_ja4(c->room, c->flow, ja4);
}

void conversation_anomaly(struct conversation *c, const char *name) {
    const struct protocol *protocol = ((struct talk *)c)->protocol;
    anomaly_note(c->room, c->flow, c->time, "applayer", protocol->name, name);
}

uint16_t conversation_server_port(const struct conversation *c) {
    return c->flow->key.port[flow_server(c->flow)];
}

void conversation_connection_id(struct conversation *c, enum direction direction, struct slice id) {
    rebind_learn(c->room, c->flow, direction, id);
}

struct names *conversation_names(const struct conversation *c) {
    return c->room->names;
}

void conversation_hand_over(struct conversation *c) {
    ((struct talk *)c)->handed = true;
}

void *conversation_hand_over_to(struct conversation *c, const struct protocol *next) {
    return talk_appoint(c->room, (struct talk *)c, next);
}

void conversation_wake(struct conversation *c) {
    ((struct talk *)c)->woken = true;
}

void conversation_set_proxy(struct conversation *c, const char *kind, struct slice target) {
    facts_proxy(c->room, c->flow, kind, target);
}

void conversation_doubt(struct conversation *c) {
    ((struct talk *)c)->doubted = true;
}

void conversation_confirm(struct conversation *c) {
    ((struct talk *)c)->doubted = false;
}

bool conversation_doubted(const struct conversation *c) {
    return ((const struct talk *)c)->doubted;
}

void conversation_give_up(struct conversation *c) {
    ((struct talk *)c)->given_up = true;
}

void conversation_hide_head(struct conversation *c, enum direction direction) {
    facts_hide_head(c->room, c->flow, flow_sender(c->flow, direction));
}

void conversation_over(struct conversation *c) {
    ((struct talk *)c)->over = true;
}
