/* Fanout groups: the kernel deals an interface's packets to the workers' handles (packet(7), PACKET_FANOUT).
 *
 * A group's program answers with a worker's index, which the kernel takes for a place in the group, and
 * places are given in the order of joining. When a member leaves, the last one moves into its place. So a
 * group here lives as long as it is whole: all workers join in the order of their index, once; when one
 * leaves it is broken, the others let go of it at their next rescan, and a new group is made. The kernel
 * picks the group's number, so no two programs share one by accident. */
#ifndef LUNETTE_CAPTURE_TAP_FANOUT_H
#define LUNETTE_CAPTURE_TAP_FANOUT_H

#include "base/error.h"
#include "base/time.h"
#include "capture/tap.h"

struct tap_group;

/* What the workers' taps share. Thread safe. */
struct tap_groups *tap_groups_new(void);
void tap_groups_free(struct tap_groups *groups);

/* Worker 0 makes a group for the interface and is its first member, the others join it. NULL with an empty
 * error: it is not this worker's turn; with a message: the system cannot do it. */
struct tap_group *tap_groups_join(struct tap_groups *groups, uint32_t interface_index, uint32_t worker,
                                  uint32_t workers, int descriptor, struct tap_program program,
                                  struct error *err);

/* Before the descriptor is closed. */
void tap_groups_leave(struct tap_groups *groups, struct tap_group *group);

/* Some member has left. */
bool tap_group_is_broken(const struct tap_group *group);

/* When the last member joined, by the wall clock: packets that came later are dealt as they should be.
 * INT64_MAX before that. */
nanoseconds tap_group_whole_since(const struct tap_group *group);

#endif
