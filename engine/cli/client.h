/* Asks a running sensor over its control socket: one request of HTTP/1.1, one answer of bounded size within a
 * bounded time. */
#ifndef LUNETTE_CLI_CLIENT_H
#define LUNETTE_CLI_CLIENT_H

#include "base/error.h"

#include <stddef.h>

struct client_answer {
    unsigned status; /* of HTTP */
    char *body;      /* terminated; owned: client_answer_free() */
    size_t length;
};

enum { CLIENT_ANSWER_MOST = 64 << 20 };

/* -1 and a sentence that says what to do if there is no answer: nobody is there, it is another user's, it
 * took longer than `seconds`. An answer that says no is an answer. */
int client_ask(const char *path, const char *method, const char *target, double seconds,
               struct client_answer *answer, struct error *err);
void client_answer_free(struct client_answer *answer);

/* What the sensor said was wrong ({"error":"…"}, or its status), into `out`. */
const char *client_complaint(const struct client_answer *answer, char *out, size_t size);

#endif
