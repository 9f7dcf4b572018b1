/* `lifeline serve`: reads what it is told, and serves. */

#include "cli/commands.h"
#include "server/options.h"
#include "server/serve.h"

static int main_of_serve(int argc, char **argv)
{
	static struct options options;
	int read;

	options_init(&options);
	read = options_read(&options, argc, argv);
	if (read != 0)
		return read < 0 ? 2 : 0;
	return serve(&options);
}

const struct command command_serve = {
	.name = "serve",
	.summary = "answer every message with `keep alive`, and tell who is alive",
	.main = main_of_serve,
};
