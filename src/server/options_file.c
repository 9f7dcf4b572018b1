/* `name = value` lines, read by inih. */

#include "server/options.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

struct reading {
	struct options *options;
	FILE *file;
	char name[64];
	const char *why; /* of the first error */
	bool is_known;
	bool in_section;
	bool is_broken; /* the line that was read last */
	int error;	/* of reading the file; 0: none */
};

/*
 * Lines stand by themselves: one that is indented does not go on with the one before, and of one that is longer than
 * inih takes nothing is left over to be read as a line of its own. Comments may be of any length.
 */
static char *read_line(char *text, int size, void *context)
{
	struct reading *reading = context;
	bool is_broken = false;
	int len = 0, c;

	while ((c = getc(reading->file)) != EOF && c != '\n') {
		if (len == 0 && (c == ' ' || c == '\t'))
			continue;
		if (len < size - 1 && c != '\0')
			text[len++] = (char)c;
		else
			is_broken = true;
	}
	text[len] = '\0';
	reading->is_broken = is_broken && text[0] != '#' && text[0] != ';';
	if (ferror(reading->file))
		reading->error = errno;
	return c == EOF && len == 0 ? NULL : text;
}

/* The first error stands: inih goes on after it, and gives its line. */
static int on_value(void *context, const char *section, const char *name, const char *value)
{
	struct reading *reading = context;
	bool known = true;
	const char *why = "is on a line that is too long, or holds a NUL";

	if (reading->name[0] != '\0')
		return 1;
	if (!reading->is_broken)
		why = section[0] == '\0' ? options_set(reading->options, name, value, &known)
					 : NULL;
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
	reading.file = file;
	line = ini_parse_stream(read_line, &reading, on_value, &reading);
	fclose(file);
	if (reading.error != 0) {
		fprintf(stderr, "lifeline: cannot read %s: %s\n", path, strerror(reading.error));
		return -1;
	}
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
