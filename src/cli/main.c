/* The list of commands is the table of contents of this program. */

#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "config.h"

static const struct command *const commands[] = {&command_serve, &command_connect, &command_bench};

#define COMMANDS_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *out)
{
	fprintf(out, "usage: lifeline COMMAND [OPTION...]\n\n"
		     "lifeline knows what is alive: anything that can open a TCP socket connects "
		     "and says anything.\n\n");
	for (size_t i = 0; i < COMMANDS_COUNT; i++)
		fprintf(out, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(out, "\n`lifeline COMMAND --help` tells more; `lifeline --version` prints the "
		     "version.\n");
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_help(stderr);
		return 2;
	}
	for (size_t i = 0; i < COMMANDS_COUNT; i++)
		if (strcmp(argv[1], commands[i]->name) == 0)
			return commands[i]->main(argc - 1, argv + 1);
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("lifeline %s\n", LIFELINE_VERSION);
		return 0;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return 0;
	}
	fprintf(stderr, "lifeline: there is no command `%s`; see lifeline --help\n", argv[1]);
	return 2;
}
