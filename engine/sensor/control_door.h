/* A door: a listening socket, a thread that lets people in one by one, and libmicrohttpd, which talks to
 * those who are in.
 *
 * There are so many places inside; who finds none waits outside, in the system's queue. Who takes too long to
 * say what he wants, or to take his answer, is put out: once a second somebody calls control_door_sweep().
 * libmicrohttpd's own limits do neither (it hangs up on those who come too many, and takes a byte now and
 * then for life). */
#ifndef LUNETTE_SENSOR_CONTROL_DOOR_H
#define LUNETTE_SENSOR_CONTROL_DOOR_H

#include "base/error.h"

#include <microhttpd.h>
#include <stdbool.h>

struct control_door;

struct control_door_options {
    int listener;                       /* the door's from here on, also if it cannot be opened */
    bool (*is_welcome)(int descriptor); /* NULL: everybody is */
    MHD_AccessHandlerCallback on_request;
    MHD_RequestCompletedCallback on_completed;
    void *context;
};

/* Puts the door where callbacks find it, before the first is called. -1 leaves NULL there. */
int control_door_open(struct control_door **out, const struct control_door_options *options,
                      struct error *err);

/* Listens on another socket from now on. */
void control_door_move(struct control_door *door, int listener);

/* The request is whole and is being answered, which may take its time; then the answer leaves. */
void control_door_answering(struct control_door *door, struct MHD_Connection *connection);
void control_door_leaving(struct control_door *door, struct MHD_Connection *connection);

void control_door_sweep(struct control_door *door);

/* Waits for answers under way. */
void control_door_close(struct control_door *door);

#endif
