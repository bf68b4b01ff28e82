/* Looking at flows while they are open: a walk over the table, from which only live flows hang. */
#include "flow/programs.h"

static struct flow_view view_of(const struct flow_room *room, const struct flow *flow) {
    unsigned client = flow_client(flow), server = flow_server(flow);
    const struct flow_facts *facts = flow_facts_if(room, flow);
    const struct flow_surroundings *around = &room->around;
    bool ported = !flow_is_icmp(flow);
    return (struct flow_view){
        .id = flow->id,
        .client_ip = flow->key.address[client],
        .server_ip = flow->key.address[server],
        .client_port = ported ? flow->key.port[client] : 0,
        .server_port = ported ? flow->key.port[server] : 0,
        .proto = flow_proto_word(flow->key.proto),
        .app_proto = flow_app_proto(room, flow),
        .state = flow_state_word(flow),
        .tcp_state = flow_is_tcp(flow) ? tcp_state_word(flow) : NULL,
        .interface =
            around->interface_name ? around->interface_name(around->context, flow->key.interface) : "",
        .program = programs_name(room, flow),
        .name = facts ? facts->name : NULL,
        .name_length = facts ? facts->name_length : 0,
        .start = flow->start,
        .last = flow->last,
        .packets_to_server = flow_side(flow, client)->packets,
        .packets_to_client = flow_side(flow, server)->packets,
        .bytes_to_server = flow_side(flow, client)->bytes,
        .bytes_to_client = flow_side(flow, server)->bytes,
    };
}

void flow_room_visit(const struct flow_room *room, bool (*visit)(void *context, const struct flow_view *flow),
                     void *context) {
    for (uint64_t b = 0; b <= room->table.mask; b++) {
        const struct bucket *bucket = &room->table.buckets[b];
        for (int slot = 0; slot < BUCKET_SLOTS; slot++) {
            if (bucket->tags[slot] == 0) continue;
            struct flow_view view = view_of(room, room_flow(room, bucket->index[slot]));
            if (!visit(context, &view)) return;
        }
    }
}
