/* `lunette test PATH...`: runs the tests of detectors. */
#include "base/log.h"
#include "cli/cli.h"
#include "workbench/test_run.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: lunette test [options] PATH...\n"
    "\n"
    "Runs tests of detectors: files in Lua that make traffic and say which alerts it must raise. A PATH is "
    "such a\n"
    "file, or a folder that is searched for files called NAME_test.lua, which test NAME.lua beside them.\n"
    "\n"
    "  -f, --filter TEXT    only cases with TEXT in \"file › case\", the file without _test.lua\n"
    "  -l, --list           say which cases there are, run none\n"
    "  -v, --verbose        a line for each case, with what its detectors logged\n"
    "      --junit FILE     write the outcome as JUnit XML too\n"
    "      --keep FOLDER    write the packets of each case to FOLDER, as pcapng\n"
    "      --once           do not play each case a second time, event by event\n"
    "  -s, --scripts FOLDER look for the detectors in FOLDER, not beside the tests\n"
    "\n"
    "  lunette new NAME     writes a detector with a test to begin from\n"
    "\n"
    "Exit code: 0 all passed, 1 something failed, 2 wrong use.\n";

enum { ONLY_LONG = 256, OPTION_JUNIT, OPTION_KEEP, OPTION_ONCE };

static const struct option long_options[] = {
    {"filter", required_argument, NULL, 'f'},
    {"list", no_argument, NULL, 'l'},
    {"verbose", no_argument, NULL, 'v'},
    {"junit", required_argument, NULL, OPTION_JUNIT},
    {"keep", required_argument, NULL, OPTION_KEEP},
    {"once", no_argument, NULL, OPTION_ONCE},
    {"scripts", required_argument, NULL, 's'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static bool take_option(int letter, struct test_options *options) {
    switch (letter) {
    case 'f':
        options->filter = optarg;
        return true;
    case 'l':
        options->list = true;
        return true;
    case 'v':
        options->verbose = true;
        return true;
    case 's':
        options->scripts = optarg;
        return true;
    case OPTION_JUNIT:
        options->junit = optarg;
        return true;
    case OPTION_KEEP:
        options->keep = optarg;
        return true;
    case OPTION_ONCE:
        options->once = true;
        return true;
    default:
        return false;
    }
}

int cli_test(int argc, char **argv) {
    struct test_options options = {.paths = NULL};
    struct error err = {.text = ""};
    opterr = 0;
    for (int letter; (letter = getopt_long(argc, argv, "f:lvs:h", long_options, NULL)) != -1;) {
        if (letter == 'h') {
            fputs(usage, stdout);
            return EXIT_FINE;
        }
        if (!take_option(letter, &options)) {
            log_failure(
                "test: an option that it has not, or one without its value (try: lunette test --help)");
            return EXIT_WRONG_USE;
        }
    }
    if (optind == argc) {
        fputs(usage, stderr);
        return EXIT_WRONG_USE;
    }
    options.paths = (const char *const *)&argv[optind];
    options.path_count = (size_t)(argc - optind);
    int outcome = test_run(&options, &err);
    if (outcome >= 0) return outcome ? EXIT_SOMETHING_FAILED : EXIT_FINE;
    log_failure(err.text);
    return err.usage ? EXIT_WRONG_USE : EXIT_SOMETHING_FAILED;
}
