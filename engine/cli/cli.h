/* The subcommands: argv[0] is the subcommand's name; each returns the exit code. */
#ifndef LUNETTE_CLI_CLI_H
#define LUNETTE_CLI_CLI_H

/* Exit codes: it went well, it ran but something failed, it was used wrongly. */
enum { EXIT_FINE = 0, EXIT_SOMETHING_FAILED = 1, EXIT_WRONG_USE = 2 };

int cli_replay(int argc, char **argv);
int cli_live(int argc, char **argv);
int cli_baseline(int argc, char **argv);
int cli_console(int argc, char **argv);
int cli_events(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_profile(int argc, char **argv);
int cli_ctl(int argc, char **argv);
int cli_top(int argc, char **argv);
int cli_hosts(int argc, char **argv);
int cli_new(int argc, char **argv);
int cli_test(int argc, char **argv);
int cli_audit(int argc, char **argv);

#endif
