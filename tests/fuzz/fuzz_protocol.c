/* libFuzzer target: one parser, the one that FUZZ_PROTOCOL names, behind the real flow room.
 *
 * An input is a conversation, written as records (records.h): who sends, in order, with gaps. The parser is
 * chosen by force, whatever its recogniser thinks of the bytes (which is asked too); what it hands the stream
 * over to is recognised as ever. All events are wanted, and every text of every event is read, so that the
 * sanitizer sees where it lies.
 *
 * Making a room costs a thousand system calls, so one serves many inputs; the flows of each are ended before
 * the next. */
#include "fuzz/records.h"
#include "fuzz/room.h"

#include "protocol/list.h"

#include <stdlib.h>
#include <string.h>

enum { INPUTS_PER_ROOM = 512, PROTOCOLS_MOST = 63 };

static struct {
    struct protocol forced; /* the parser, said yes to */
    const struct protocol *real;
    const struct protocol *list[PROTOCOLS_MOST + 2];
    struct fuzz_room *room;
    unsigned inputs;
} fuzz;

static enum recognised recognise_by_force(const struct probe *probe) {
    if (probe->carrier) return fuzz.real->recognise(probe);
    fuzz.real->recognise(probe);
    return RECOGNISED_YES;
}

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerInitialize(int *count, char ***arguments) {
    (void)count;
    (void)arguments;
    unsigned used = 1;
    for (unsigned i = 0; protocol_list[i] && i < PROTOCOLS_MOST; i++) {
        if (strcmp(protocol_list[i]->name, FUZZ_PROTOCOL) == 0 && !fuzz.real)
            fuzz.real = protocol_list[i];
        else
            fuzz.list[used++] = protocol_list[i];
    }
    if (!fuzz.real) {
        fprintf(stderr, "protocol/list.c has no protocol " FUZZ_PROTOCOL "\n");
        exit(2);
    }
    fuzz.forced = *fuzz.real;
    fuzz.forced.recognise = recognise_by_force;
    fuzz.list[0] = &fuzz.forced;
    return 0;
}

/* Of parsers for several transports, the input's first byte chooses. */
static uint8_t ip_protocol(uint8_t choice) {
    static const struct {
        uint8_t transport, number;
    } known[] = {{TRANSPORT_TCP, 6},     {TRANSPORT_UDP, 17}, {TRANSPORT_ICMP, 1},
                 {TRANSPORT_ICMPV6, 58}, {TRANSPORT_IP, 50},  {TRANSPORT_IP, 47}};
    uint8_t fit[6];
    unsigned count = 0;
    for (unsigned i = 0; i < sizeof known / sizeof *known; i++)
        if (fuzz.forced.transports & known[i].transport) fit[count++] = known[i].number;
    return count ? fit[choice % count] : 6;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    if (fuzz.room && ++fuzz.inputs % INPUTS_PER_ROOM == 0) {
        fuzz_room_free(fuzz.room);
        fuzz.room = NULL;
    }
    if (!fuzz.room) fuzz.room = fuzz_room_new(fuzz.list);
    fuzz_room_open(fuzz.room, ip_protocol(data[0]), data[1]);
    struct cursor rest = cursor_over(data + 2, size - 2);
    struct record record;
    while (record_next(&rest, &record)) fuzz_room_send(fuzz.room, &record);
    fuzz_room_close(fuzz.room);
    return 0;
}
