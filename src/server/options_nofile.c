/* In place of options_file.c, in a build without inih. */

#include "server/options.h"

#include <stdio.h>

int options_file_read(struct options *options, const char *path)
{
	(void)options;
	fprintf(stderr,
		"lifeline: cannot read %s: this build has no configuration files; give the options "
		"on the command "
		"line, or build with inih\n",
		path);
	return -1;
}
