/* `lunette new NAME`: begins a detector, and says what to do next. */
#include "base/log.h"
#include "cli/cli.h"
#include "workbench/scaffold.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: lunette new NAME [--in FOLDER] [--kind KIND]\n"
    "\n"
    "Writes NAME.lua, a detector that works, and NAME_test.lua, a test that it passes: change both until "
    "they say what\n"
    "you mean. A .luarc.json lets editors with the Lua language server complete the API's names. No file "
    "that is there\n"
    "already is touched.\n"
    "\n"
    "  -i, --in FOLDER   where to (default: here)\n"
    "  -k, --kind KIND   what it watches: dns (the default), tls, http, flow, stream, process or\n"
    "                    vpn\n"
    "\n"
    "Exit code: 0 written, 1 a file is there already or cannot be written, 2 wrong use.\n";

static const struct option long_options[] = {
    {"in", required_argument, NULL, 'i'},
    {"kind", required_argument, NULL, 'k'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* The editor's stubs: installed under the same prefix as the program, or made beside it by the build. */
static const char *find_stubs(char found[PATH_MAX]) {
    static const char *const places[] = {"/../share/lunette/stubs", "/stubs"};
    char program[PATH_MAX / 2], place[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(program, '/');
    if (!slash) return NULL;
    *slash = '\0';
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(place, sizeof place, "%s%s", program, places[i]);
        if (realpath(place, found)) return found;
    }
    return NULL;
}

static void tell(const struct scaffold *written, const char *folder, const char *kind) {
    bool here = strcmp(folder, ".") == 0;
    printf("%s\n%s\n", written->detector + (here ? 2 : 0), written->test + (here ? 2 : 0));
    if (written->settings[0]) printf("%s\n", written->settings + (here ? 2 : 0));
    printf("\nNext:\n"
           "  lunette check %s\n"
           "  lunette test %s\n"
           "  lunette events %s\n"
           "  lunette replay -s %s CAPTURE\n",
           written->detector + (here ? 2 : 0), written->test + (here ? 2 : 0), kind,
           written->detector + (here ? 2 : 0));
}

static int wrong_use(const char *message) {
    log_failure(message);
    return EXIT_WRONG_USE;
}

int cli_new(int argc, char **argv) {
    struct scaffold_options options = {.folder = ".", .kind = scaffold_kinds[0]};
    struct scaffold written;
    struct error err = {.text = ""};
    char stubs[PATH_MAX];
    opterr = 0;
    for (int letter; (letter = getopt_long(argc, argv, "i:k:h", long_options, NULL)) != -1;) {
        if (letter == 'i') options.folder = optarg;
        if (letter == 'k') options.kind = optarg;
        if (letter == 'h') {
            fputs(usage, stdout);
            return EXIT_FINE;
        }
        if (letter == '?')
            return wrong_use(
                "new: an option that it has not, or one without its value (try: lunette new --help)");
    }
    if (optind + 1 != argc) {
        fputs(usage, stderr);
        return EXIT_WRONG_USE;
    }
    options.name = argv[optind];
    options.stubs = find_stubs(stubs);
    if (scaffold_write(&options, &written, &err) < 0) {
        log_failure(err.text);
        return err.usage ? EXIT_WRONG_USE : EXIT_SOMETHING_FAILED;
    }
    tell(&written, options.folder, options.kind);
    return EXIT_FINE;
}
