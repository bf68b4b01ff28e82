/* Prints what the capture room says of each packet's sender: a line of JSON a packet, in the order of the
 * files given. For tests/corpus/test_processes.py, which holds it against tshark. */
#include "capture/capture.h"
#include "output/json.h"

#include <stdio.h>

static void put_process(struct buffer *b, const char *key, const struct packet_process *process) {
    if (!process) return;
    json_key(b, key);
    buffer_char(b, '{');
    json_key(b, "pid");
    buffer_format(b, "%d", process->pid);
    json_pair_text(b, "name", process->name);
    json_pair_text(b, "path", process->path);
    if (process->has_uuid) {
        json_key(b, "uuid");
        json_hex(b, process->uuid, sizeof process->uuid);
    }
    buffer_char(b, '}');
}

static void put_packet(struct buffer *b, const struct capture *capture, const struct packet *packet) {
    static const char *const directions[] = {"", "in", "out"};
    const struct packet_origin *origin = packet->origin;
    buffer_char(b, '{');
    json_pair_u64(b, "link_type", packet->link_type);
    json_pair_u64(b, "captured", packet->captured);
    json_pair_u64(b, "original", packet->original);
    json_pair_text(b, "interface", capture_interface_name(capture, packet->interface));
    json_pair_text(b, "direction", directions[packet->direction]);
    if (origin) {
        put_process(b, "process", origin->process);
        put_process(b, "effective", origin->effective);
        if (origin->service_class != ORIGIN_NO_CLASS) json_pair_u64(b, "class", origin->service_class);
        json_pair_u64(b, "flow_id", origin->flow_id);
        json_pair_u64(b, "flags", origin->flags);
        json_pair_u64(b, "drop_reason", origin->drop_reason);
        json_pair_u64(b, "drop_line", origin->drop_line);
        json_pair_text(b, "drop_function", origin->drop_function);
    }
    buffer_string(b, "}\n");
}

int main(int argc, char **argv) {
    struct error err;
    struct packet burst[PACKET_BURST];
    struct buffer line = {0};
    if (argc != 2) {
        fprintf(stderr, "usage: %s CAPTURE\n", argv[0]);
        return 2;
    }
    struct capture *capture = capture_open((const char *const *)argv + 1, 1, &err);
    if (!capture) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (int n; (n = capture_next_burst(capture, burst)) > 0;)
        for (int i = 0; i < n; i++) {
            line.length = 0;
            put_packet(&line, capture, &burst[i]);
            fwrite(line.at, 1, line.length, stdout);
        }
    buffer_free(&line);
    capture_close(capture);
    return 0;
}
