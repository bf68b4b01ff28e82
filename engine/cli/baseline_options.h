/* The command line of `lunette baseline`: its own options, and those of replay that say what is looked at. */
#ifndef LUNETTE_CLI_BASELINE_OPTIONS_H
#define LUNETTE_CLI_BASELINE_OPTIONS_H

#include "base/ip.h"
#include "cli/session.h"
#include "output/profile_collect.h"

enum { BASELINE_HOSTS_MAX = 64 };

enum baseline_command { BASELINE_LEARN, BASELINE_SHOW, BASELINE_COMPARE };

struct baseline_options {
    enum baseline_command command;
    const char *output, *earlier; /* of learn; NULL: standard output, none */
    bool apart, json, help;
    enum profile_kind kind; /* PROFILE_KINDS: all */
    uint32_t top;           /* 0: all */
    bool top_given;
    double least, fail; /* bits; fail: NAN if not given */
    struct ip only[BASELINE_HOSTS_MAX];
    size_t only_count;
    struct profile_alias same[BASELINE_HOSTS_MAX];
    size_t same_count;
    struct invocation rest; /* what is left for replay's options; argv[0] names the command in messages */
};

/* Takes its own options out of argv, which is reordered. -1 and what is wrong. */
int baseline_options_read(struct baseline_options *options, int argc, char **argv, struct error *err);

#endif
