/* `lunette events`: the event schema, printed from its own table. */
#ifndef LUNETTE_CLI_EVENTS_H
#define LUNETTE_CLI_EVENTS_H

/* argv[0] is the subcommand's name. Returns the exit code: 0, or 2 for an option or a kind that does not
 * exist. */
int cli_events(int argc, char **argv);

#endif
