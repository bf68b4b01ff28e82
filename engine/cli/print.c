/* See print.h. SIGPIPE is ignored (main.c), so a reader who went away shows as EPIPE. */
#include "cli/print.h"

#include "base/log.h"
#include "cli/cli.h"

#include <errno.h>
#include <string.h>

int print_out(struct buffer *b) {
    struct error err;
    errno = 0;
    bool put =
        b->length == 0 || fwrite(b->at, 1, b->length, stdout) == b->length; /* empty, it has no bytes */
    bool whole = !b->failed && put && fflush(stdout) == 0;
    int why = b->failed ? ENOMEM : errno;
    buffer_free(b);
    if (whole || why == EPIPE) return EXIT_FINE;
    error_set(&err, "standard output cannot be written: %s", strerror(why));
    log_failure(err.text);
    return EXIT_SOMETHING_FAILED;
}
