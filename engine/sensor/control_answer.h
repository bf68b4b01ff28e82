/* What the control socket says to each request, without a word about HTTP's transport: path, method and
 * arguments in, a status and a text out. */
#ifndef LUNETTE_SENSOR_CONTROL_ANSWER_H
#define LUNETTE_SENSOR_CONTROL_ANSWER_H

#include "output/buffer.h"
#include "sensor/control.h"

#include <pthread.h>

/* What the answers are made with. Each of the calls but `board` is made by one request at a time. */
struct control_desk {
    struct control_calls calls;
    pthread_mutex_t reloading, asking;
};

int control_desk_init(struct control_desk *desk, const struct control_calls *calls, struct error *err);
void control_desk_destroy(struct control_desk *desk);

struct control_request {
    const char *method, *path;
    /* The value of an argument of the URL: "" if it has none, NULL if it is not there. */
    const char *(*argument)(void *context, const char *name);
    void *context;
    bool metrics_only; /* it came over TCP */
};

struct control_answer {
    unsigned status;    /* of HTTP */
    const char *type;   /* of the content */
    const char *allow;  /* with 405: the methods there are, else NULL */
    struct buffer body; /* the caller's to free */
    bool stop;          /* call calls.stop() once the answer is on its way */
};

/* Whether there is something at this path for this method: status 0, or the answer that says no. */
void control_refuse(const struct control_request *request, struct control_answer *answer);

/* Answers a request that was not refused. May take as long as a reload takes. */
void control_answer(struct control_desk *desk, const struct control_request *request,
                    struct control_answer *answer);

/* {"error":"…"} with a status. */
__attribute__((format(printf, 3, 4))) void control_error(struct control_answer *answer, unsigned status,
                                                         const char *format, ...);

#endif
