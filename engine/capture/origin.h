/* Who sent a packet, kept for as long as it is asked for.
 *
 * Captures name the same few processes again and again, so each is kept once, for the capture's life
 * (`struct processes`, shared by its files). What is said of one packet (struct packet_origin) lives as long
 * as the packet's bytes: in a ring with room for a burst under construction and the packets that wait behind
 * it, twice, since a block and a PKTAP header in it may both name somebody (`struct origins`, one a file). */
#ifndef LUNETTE_CAPTURE_ORIGIN_H
#define LUNETTE_CAPTURE_ORIGIN_H

#include "base/bytes.h"
#include "capture/packet.h"

enum {
    PROCESSES_MOST = 262144,           /* of a capture; what comes after is nobody, and counted */
    PROCESSES_TEXT = 32 * 1024 * 1024, /* bytes of their names and paths */
    PROCESS_NAME_MOST = 255,           /* bytes; longer names are cut */
    PROCESS_PATH_MOST = 1024,
    ORIGINS = 4 * PACKET_BURST,
    ORIGIN_FUNCTION_SIZE = 68, /* of droptap: at most 64 bytes, and the NUL */
};

struct processes; /* NULL is an empty one */

/* The process of that pid, name, path (both cut at their first NUL) and executable (`uuid`: 16 bytes, or
 * NULL). Returns NULL if nothing of it is known (pid 0 or -1 and no more), and where there is no more room:
 * then `*refused` counts up. `*all` is made when it is first needed. */
const struct packet_process *processes_keep(struct processes **all, int32_t pid, struct slice name,
                                            struct slice path, const uint8_t *uuid, uint64_t *refused);
void processes_free(struct processes *all);

/* A place for what is said of a packet; all zero is an empty ring. */
struct origins {
    struct origin_slot *slots; /* ORIGINS, made when the first is needed */
    uint32_t next;
};

/* The next place, with everything absent; NULL without memory. Good until ORIGINS - 1 more were taken. */
struct packet_origin *origins_take(struct origins *ring);

/* Gives back the place that was taken last. */
void origins_give_back(struct origins *ring);

/* Puts the name of the function that dropped the packet into a place of the ring. */
void origins_name_function(struct packet_origin *origin, struct slice name);

void origins_free(struct origins *ring);

/* Is there anything in it that is worth carrying on? */
bool origin_says_something(const struct packet_origin *origin);

#endif
