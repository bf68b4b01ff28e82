/* `lunette audit ROOT`: what a Mac's own files say of its network, and what of that does not belong. */
#include "audit/audit.h"

#include "audit/json_read.h"
#include "base/log.h"
#include "cli/audit_print.h"
#include "cli/cli.h"
#include "cli/print.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: lunette audit ROOT [--json] [--since EARLIER.json] [--color WHEN]\n"
    "\n"
    "Reads a Mac's own files below ROOT: / on the Mac itself, a mounted disk, or a folder with files that "
    "were\n"
    "collected, at the paths that they have on the Mac. Prints the network's configuration (interfaces, "
    "services,\n"
    "resolvers, proxies, VPNs, hosts, pf, profiles, what launchd starts that uses the network), and "
    "findings, worst\n"
    "first. Links in ROOT do not lead out of it; nothing is changed.\n"
    "\n"
    "  --json              the whole as JSON: for --audit of replay and live, and for --since\n"
    "  --since FILE        how it differs from an earlier audit, as --json wrote it; what is new weighs "
    "more\n"
    "  --color WHEN        auto, always or never (default: auto)\n"
    "  -h, --help          print this\n"
    "\n"
    "Exit code: 0 the files were read (whatever was found), 1 a file is broken or may not be read, or there "
    "is none\n"
    "of a Mac's, 2 wrong use.\n";

static const struct option long_options[] = {{"json", no_argument, NULL, 'j'},
                                             {"since", required_argument, NULL, 's'},
                                             {"color", required_argument, NULL, 'c'},
                                             {"help", no_argument, NULL, 'h'},
                                             {NULL, 0, NULL, 0}};

struct asked {
    const char *root, *since;
    enum colour_choice colour;
    bool json, help;
};

static int read_colour(const char *word, enum colour_choice *out, struct error *err) {
    static const char *const words[] = {"auto", "never", "always"};
    for (int i = 0; i < 3; i++)
        if (strcmp(word, words[i]) == 0) return *out = (enum colour_choice)i, 0;
    return error_set(err, "audit: --color: expected auto, never or always, got '%s'", word);
}

static int read_arguments(struct asked *asked, int argc, char **argv, struct error *err) {
    opterr = 0;
    for (int letter; (letter = getopt_long(argc, argv, "h", long_options, NULL)) != -1;) {
        if (letter == 'j') asked->json = true;
        if (letter == 's') asked->since = optarg;
        if (letter == 'h') asked->help = true;
        if (letter == 'c' && read_colour(optarg, &asked->colour, err) < 0) return -1;
        if (letter == '?')
            return error_set(
                err, "audit: there is no option '%s', or it lacks its value (try: lunette audit --help)",
                argv[optind - 1]);
    }
    if (asked->help) return 0;
    if (optind + 1 != argc)
        return error_set(
            err, "audit: one folder is expected: / or where the Mac's disk is (try: lunette audit --help)");
    asked->root = argv[optind];
    return 0;
}

static json_t *read_earlier(const char *path, struct error *err) {
    struct error why;
    json_t *earlier = json_read_file(path, 0, &why);
    if (!earlier) error_set(err, "--since %.900s", why.text);
    return earlier;
}

static int print_json(const json_t *document) {
    struct buffer b = {.at = NULL};
    char *text = json_dumps(document, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    if (text)
        buffer_string(&b, text);
    else
        b.failed = true;
    buffer_char(&b, '\n');
    free(text);
    return print_out(&b);
}

static int print_page(const struct asked *asked, const json_t *document) {
    struct buffer b = {.at = NULL};
    const struct terminal_style style = terminal_style_of(STDOUT_FILENO, asked->colour);
    audit_print(&b, &style, document);
    return print_out(&b);
}

static int run(const struct asked *asked) {
    struct error err = {.text = ""};
    struct audit_result result = {.document = NULL};
    json_t *earlier = asked->since ? read_earlier(asked->since, &err) : NULL;
    int outcome = asked->since && !earlier ? -1 : audit_root(asked->root, time_wall(), &result, &err);
    if (outcome == 0 && earlier) outcome = audit_since(result.document, earlier, &err);
    if (outcome < 0) {
        log_failure(err.text);
        outcome = EXIT_SOMETHING_FAILED;
    } else {
        outcome = asked->json ? print_json(result.document) : print_page(asked, result.document);
        if (result.read == 0 && result.failed == 0)
            log_line(LOG_ERROR, "%s: none of a Mac's files is there: is it the root of its disk?",
                     asked->root);
        else if (result.failed > 0)
            log_line(LOG_WARNING, "%u file%s could not be read: see %s", result.failed,
                     result.failed == 1 ? "" : "s", asked->json ? "\"files\"" : "the first lines");
        if (result.read == 0 || result.failed > 0) outcome = EXIT_SOMETHING_FAILED;
    }
    json_decref(earlier);
    json_decref(result.document);
    return outcome;
}

int cli_audit(int argc, char **argv) {
    struct error err;
    struct asked asked = {.colour = COLOUR_AUTO};
    if (read_arguments(&asked, argc, argv, &err) < 0) {
        log_failure(err.text);
        return EXIT_WRONG_USE;
    }
    if (!asked.help) return run(&asked);
    fputs(usage, stdout);
    return EXIT_FINE;
}
