/* A capture played at its own pace: the live path's source for `replay --pace`.
 *
 * The capture's clock stands at its first packet when play begins and then runs `speed` times as fast as the
 * wall's. A packet is due when that clock reaches its time. */
#ifndef LUNETTE_SENSOR_PACE_H
#define LUNETTE_SENSOR_PACE_H

#include "base/error.h"
#include "capture/packet.h"

struct pace;

/* `speed`: packet seconds per second, more than 0. */
struct pace *pace_new(const char *const *captures, size_t count, double speed, struct error *err);

/* Play begins now; `monotonic` is the same for all workers that play the capture. */
void pace_begin(struct pace *pace, nanoseconds monotonic);

/* Fills `burst` with packets that are due, borrowed until the next call. 0: none now; -1: the capture is
 * over. */
int pace_next_burst(struct pace *pace, nanoseconds monotonic, struct packet burst[PACKET_BURST]);

/* The capture's clock. */
nanoseconds pace_now(const struct pace *pace, nanoseconds monotonic);

const char *pace_interface_name(const struct pace *pace, uint8_t interface);

/* What is wrong with the capture, one at a time; NULL when there is no more. */
const char *pace_warning(const struct pace *pace, size_t index);
void pace_free(struct pace *pace);

#endif
