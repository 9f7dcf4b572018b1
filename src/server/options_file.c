/* `name = value` lines, read by inih. */

#include "server/options.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

struct reading {
	struct options *options;
	char name[64];
	const char *why; /* of the first error */
	bool is_known;
	bool in_section;
};

/* The first error stands: inih goes on after it, and gives its line. */
static int on_value(void *context, const char *section, const char *name, const char *value)
{
	struct reading *reading = context;
	bool known = true;
	const char *why;

	if (reading->name[0] != '\0')
		return 1;
	why = section[0] == '\0' ? options_set(reading->options, name, value, &known) : NULL;
	if (section[0] == '\0' && known && why == NULL)
		return 1;
	snprintf(reading->name, sizeof(reading->name), "%s", section[0] != '\0' ? section : name);
	reading->in_section = section[0] != '\0';
	reading->is_known = known;
	reading->why = why;
	return 0;
}

int options_file_read(struct options *options, const char *path)
{
	struct reading reading = {.options = options};
	FILE *file = fopen(path, "re");
	int line;

	if (file == NULL) {
		fprintf(stderr, "lifeline: cannot read %s: %s\n", path, strerror(errno));
		return -1;
	}
	line = ini_parse_file(file, on_value, &reading);
	fclose(file);
	if (line == 0)
		return 0;
	if (reading.name[0] == '\0')
		fprintf(stderr, "lifeline: %s:%d: not a line of the form `name = value`\n", path,
			line);
	else if (reading.in_section)
		fprintf(stderr, "lifeline: %s:%d: there are no sections; [%s] is none\n", path,
			line, reading.name);
	else if (!reading.is_known)
		fprintf(stderr,
			"lifeline: %s:%d: there is no option `%s`; see lifeline serve --help\n",
			path, line, reading.name);
	else
		fprintf(stderr, "lifeline: %s:%d: %s %s\n", path, line, reading.name, reading.why);
	return -1;
}
