#ifndef SERVER_CONSOLE_H
#define SERVER_CONSOLE_H

/*
 * Prints what workers tell and what the directory notes, a line each, from a thread of its own. Nobody waits for it: what
 * it cannot take in time is lost, counted, and the count is printed.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/event.h"
#include "server/house.h"

/* What is the same in all lines. */
struct console_self {
	const char *node;
	uint64_t
		epoch; /* the second of the start; with node and sequence it names a verdict for ever */
	bool colours; /* standard output is a terminal that wants them */
};

/* What is said once, when all is ready. */
struct console_ready {
	const char *const *addresses;
	unsigned addresses_count;
	const char *engine;
	unsigned workers;
	uint32_t clients_max;
};

/* One line under way. */
struct console_line {
	char *text;
	size_t size; /* never less than CONSOLE_LINE_MAX */
	size_t len;
};

#define CONSOLE_LINE_MAX 8192

/* A format writes lines, each with its LF. Nothing written: the line is left out. */
struct console_format {
	const char *name;
	void (*ready)(struct console_line *line, const struct console_self *self,
		      const struct console_ready *ready, struct wall at);
	void (*event)(struct console_line *line, const struct console_self *self,
		      const struct event *event, const char *text, size_t len, struct wall at);
	/* `ahead` is what is to be added to a monotonic time of this note to get the wall's. */
	void (*note)(struct console_line *line, const struct console_self *self,
		     const struct note *note, uint64_t ahead_ns);
	void (*dropped)(struct console_line *line, const struct console_self *self, uint64_t count,
			struct wall at);
	void (*stopped)(struct console_line *line, const struct console_self *self, struct wall at);
};

extern const struct console_format console_text;
/* NULL in a build without jansson. */
extern const struct console_format *const console_json;

struct console {
	struct house *house;
	const struct console_format *format;
	struct console_self self;
	pthread_t thread;
	_Atomic bool ending;
	_Atomic uint64_t written; /* bytes, in all */
	sem_t ended;
	uint64_t lost;	       /* lines that could not be written */
	uint64_t told_lost;    /* of all lines that were lost, how many that line has told of */
	uint64_t telling_lost; /* the same, with what is in the buffer */
	bool is_cut;	       /* what was written last is no whole line */
	size_t len;
	char buffer[64 * 1024];
};

/* Starts it. The house and its workers are there. 0 or a negative errno. */
int console_open(struct console *console, struct house *house, const struct console_format *format,
		 const struct console_self *self, const struct console_ready *ready);

/* Prints what is left, unless nobody reads it for a second. */
void console_close(struct console *console);

#endif
