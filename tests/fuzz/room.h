/* A flow room for fuzzing parsers: one conversation at a time between two fixed hosts. */
#ifndef LUNETTE_TESTS_FUZZ_ROOM_H
#define LUNETTE_TESTS_FUZZ_ROOM_H

#include "flow/flow.h"
#include "flow/protocol.h"
#include "fuzz/records.h"

struct fuzz_room;

/* Never NULL: without memory the target ends. `protocols` is borrowed and ends with NULL. */
struct fuzz_room *fuzz_room_new(const struct protocol *const *protocols);
void fuzz_room_free(struct fuzz_room *room);

/* A new conversation; for TCP with its handshake. `port` chooses one of the well-known ports. */
void fuzz_room_open(struct fuzz_room *room, uint8_t ip_protocol, uint8_t port);
void fuzz_room_send(struct fuzz_room *room, const struct record *record);

/* Ends all flows: parsers report what is pending. */
void fuzz_room_close(struct fuzz_room *room);

#endif
