/* lunette SUBCOMMAND …: finds the subcommand and gets out of the way. */
#include "cli/cli.h"

#include <pcap/pcap.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: lunette COMMAND [options]\n"
    "\n"
    "  replay    read captures, run detectors over them, print alerts and a summary\n"
    "  live      watch interfaces, for months if need be\n"
    "  hosts     what is known of each host of a capture, or of a running sensor\n"
    "  audit     what a Mac's own files say of its network, and what does not belong there\n"
    "  baseline  what is normal: learn it, show it, compare a capture with it\n"
    "  console   go through a capture event by event, at a prompt\n"
    "  events    print the events that detectors can handle, and their fields\n"
    "  check     read detectors for mistakes, list what they subscribe to\n"
    "  profile   where the time of detectors goes, handler by handler\n"
    "  ctl       ask a running sensor, or tell it what to do\n"
    "  top       a running sensor on a screen: traffic, hosts, detectors, alerts\n"
    "  new       begin a detector: a working one, with its test\n"
    "  test      run the tests of detectors\n"
    "\n"
    "  lunette COMMAND --help    about one command\n"
    "  lunette --version\n";

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"replay", cli_replay}, {"live", cli_live}, {"console", cli_console}, {"events", cli_events},
    {"new", cli_new},       {"test", cli_test}, {"check", cli_check},     {"profile", cli_profile},
    {"ctl", cli_ctl},       {"top", cli_top},   {"hosts", cli_hosts},     {"baseline", cli_baseline},
    {"audit", cli_audit},
};

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error of writing, told by the outputs */
    signal(SIGXFSZ, SIG_IGN); /* a file that reached its limit: the same */
    if (argc < 2) {
        fputs(usage, stderr);
        return EXIT_WRONG_USE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        fputs(usage, stdout);
        return EXIT_FINE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
        printf("lunette %s, %s\n", LUNETTE_VERSION, pcap_lib_version());
        return EXIT_FINE;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(argv[1], commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "lunette: unknown command '%s' (try: lunette --help)\n", argv[1]);
    return EXIT_WRONG_USE;
}
