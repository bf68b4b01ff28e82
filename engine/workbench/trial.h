/* A trial: one case of one test file, run from its first line to its verdict.
 *
 *      Lua state of the test ─ body, case ─▶ story ─▶ rig with the detectors ─▶ heard ─▶ judged in the
 * same Lua state
 *
 * Every case has a Lua state and a rig of its own, so no case depends on another. The state is bounded as a
 * detector's is: memory, and steps of the interpreter (nothing in it is compiled, since no hook reaches
 * compiled loops). The story is played a second time with batches of one event: what detectors say must not
 * depend on that, and if it does they looked at something else than the packets.
 *
 * While a trial runs, what detectors log is kept with its outcome. */
#ifndef LUNETTE_WORKBENCH_TRIAL_H
#define LUNETTE_WORKBENCH_TRIAL_H

#include "base/error.h"
#include "base/time.h"
#include "output/buffer.h"

struct trial_options {
    const char *path;    /* of the test file */
    const char *scripts; /* folder in which detectors are looked for; NULL: the test file's */
    const char *keep;    /* folder into which a case's packets are written; NULL: none */
    bool once;           /* not a second time */
};

struct trial_case {
    char *label; /* the test file's name without _test.lua */
    char *name;
    uint32_t line;
};

enum verdict { VERDICT_PASSED, VERDICT_FAILED, VERDICT_ERROR };

struct trial_failure {
    uint32_t line; /* of the test file, 0: none in particular */
    char *text;    /* may have several lines */
};

struct trial_outcome {
    enum verdict verdict;
    struct trial_failure *failures;
    size_t failure_count;
    struct buffer said; /* what was logged, a line each */
    nanoseconds took;
};
void trial_outcome_clear(struct trial_outcome *outcome);

struct trial_cases {
    struct trial_case *list;
    size_t count;
    char **detectors; /* paths of all that are tested, each once */
    size_t detector_count;
};
void trial_cases_clear(struct trial_cases *cases);

/* Runs the body of the file to learn its cases. If it cannot be loaded the outcome says why. */
void trial_list(const struct trial_options *options, struct trial_cases *cases,
                struct trial_outcome *outcome);

/* Runs one of them, from 0. */
void trial_run(const struct trial_options *options, const struct trial_cases *cases, size_t number,
               struct trial_outcome *outcome);

#endif
