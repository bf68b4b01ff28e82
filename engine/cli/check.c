/* `lunette check PATH...`: what is wrong with scripts, before they run. */
#include "cli/cli.h"

#include "base/log.h"
#include "base/nearest.h"
#include "cli/print.h"
#include "workbench/check.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: lunette check [options] PATH...\n"
    "\n"
    "Reads detectors, and folders of them, and tells what is wrong: syntax, globals that there are not,\n"
    "unused and overwritten values, unknown events, fields, functions and options. Then it loads each\n"
    "detector as a run would, and lists what it subscribes to.\n"
    "\n"
    "  --quiet            findings only\n"
    "  --json             all as one JSON document\n"
    "  --tests            in folders, *_test.lua as well\n"
    "  --hints            also tell what is slow in handlers (L021 to L023)\n"
    "  --no-load          read the scripts only, load nothing\n"
    "  --enable PATTERN   also tell these codes, such as 6 or 631 (may be given again)\n"
    "  --ignore PATTERN   do not tell these codes, such as 212 or 212/self (may be given again)\n"
    "  --codes            list the codes\n"
    "\n"
    "Codes, words and options in comments (-- luacheck: ignore 212) are luacheck's; codes that begin with\n"
    "L are lunette's own. Exit code 0: nothing found; 1: findings, or a detector cannot be loaded; 2: wrong "
    "use.\n";

static const char *const options_known[] = {"--quiet",  "--json",   "--tests", "--hints", "--no-load",
                                            "--enable", "--ignore", "--codes", "--help"};

static int wrong_use(const char *what, const char *given) {
    fprintf(stderr, "lunette check: %s%s (try: lunette check --help)\n", what, given);
    return EXIT_WRONG_USE;
}

static int unknown_option(const char *given) {
    const char *near = nearest_name(given, options_known, sizeof options_known / sizeof options_known[0]);
    fprintf(stderr, "lunette check: no option \"%s\"", given);
    if (near) fprintf(stderr, ", did you mean \"%s\"?", near);
    fputc('\n', stderr);
    return EXIT_WRONG_USE;
}

static bool add_pattern(const char **patterns, const char *pattern) {
    size_t count = 0;
    while (count < CHECK_PATTERNS - 1 && patterns[count]) count++;
    patterns[count] = pattern;
    return count < CHECK_PATTERNS - 1;
}

static bool *flag_of(struct check_options *options, const char *word) {
    if (strcmp(word, "--quiet") == 0 || strcmp(word, "-q") == 0) return &options->quiet;
    if (strcmp(word, "--json") == 0) return &options->json;
    if (strcmp(word, "--tests") == 0) return &options->tests;
    if (strcmp(word, "--hints") == 0) return &options->hints;
    return NULL;
}

static int outcome_of(int problems, struct buffer *out, const struct error *err) {
    if (problems < 0) {
        buffer_free(out);
        fprintf(stderr, "lunette check: %s\n", err->text);
        return err->usage ? EXIT_WRONG_USE : EXIT_SOMETHING_FAILED;
    }
    int printed = print_out(out);
    return printed != EXIT_FINE ? printed : problems > 0 ? EXIT_SOMETHING_FAILED : EXIT_FINE;
}

int cli_check(int argc, char **argv) {
    struct check_options options = {.load = true};
    struct error err = {.text = ""};
    struct buffer out = {0};
    int paths = 0;
    bool only_paths = false;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        bool *flag = flag_of(&options, word);
        bool enable = strcmp(word, "--enable") == 0;
        if (only_paths || word[0] != '-') {
            argv[paths++] = argv[i]; /* argv[0] is read no more */
        } else if (strcmp(word, "--") == 0) {
            only_paths = true;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            fputs(usage, stdout);
            return EXIT_FINE;
        } else if (strcmp(word, "--codes") == 0) {
            return outcome_of(check_codes(&out, &err), &out, &err);
        } else if (strcmp(word, "--no-load") == 0) {
            options.load = false;
        } else if (flag) {
            *flag = true;
        } else if (enable || strcmp(word, "--ignore") == 0) {
            if (++i == argc) return wrong_use("which codes? after ", word);
            if (!add_pattern(enable ? options.enable : options.ignore, argv[i]))
                return wrong_use("too many patterns from ", argv[i]);
        } else {
            return unknown_option(word);
        }
    }
    if (paths == 0) return wrong_use("which scripts?", "");
    options.paths = (const char *const *)argv;
    options.path_count = (size_t)paths;
    return outcome_of(check_run(&options, &out, &err), &out, &err);
}
