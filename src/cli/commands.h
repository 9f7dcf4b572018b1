#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

/* A subcommand is one file and one constant struct; main.c has the list of them. */

struct command {
	const char *name;
	const char *summary;
	/* argv[0] is the subcommand's name. Returns the exit status. */
	int (*main)(int argc, char **argv);
};

extern const struct command command_serve;
extern const struct command command_connect;
extern const struct command command_bench;

#endif
