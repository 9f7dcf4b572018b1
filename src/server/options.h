#ifndef SERVER_OPTIONS_H
#define SERVER_OPTIONS_H

/*
 * What `lifeline serve` can be told, on its command line and in a file: one table (options.c) serves both, the help and
 * the completion. Errors are printed where they are found. Start-up only, one thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"
#include "wire/conversation.h"

#define OPTIONS_LISTEN_MAX 16
#define OPTIONS_LISTEN_TEXT 128
#define OPTIONS_NODE_TEXT 65

struct options {
	struct {
		char where[OPTIONS_LISTEN_TEXT];
		enum framing framing;
	} listen[OPTIONS_LISTEN_MAX];
	unsigned listen_count;
	char engine[16];
	char node[OPTIONS_NODE_TEXT]; /* unless told, the name of the host */
	uint64_t workers;	      /* 0: as many as there are cores */
	uint64_t clients_max;	      /* 0: what the descriptor limit allows */
	uint64_t message_max;	      /* bytes */
	uint64_t linger_ms, drain_ms, send_timeout_ms;
	uint64_t every_ms, grace_ms, every_min_ms, every_max_ms, grace_min_ms, grace_max_ms;
	uint64_t rejoin_ms, forget_ms, known_max;
	uint64_t suspect_share, suspect_min, suspect_hold_ms;
	uint64_t flap_changes, flap_window_ms;
	bool refuse_duplicates;
	bool json;
	bool show_messages;
	bool verbose;
};

void options_init(struct options *options);

/*
 * Reads the command line, and the file that it names; the command line has the last word.
 * 0: go on. 1: help or version was printed. -1: an error was printed (a matter of usage).
 */
int options_read(struct options *options, int argc, char **argv);

/* For options_file.c: sets one by its long name. NULL, or constant text that says what is wrong with the value. */
const char *options_set(struct options *options, const char *name, const char *value,
			bool *is_known);

/* Reads a file of `name = value` lines. -1: an error was printed, with file and line. */
int options_file_read(struct options *options, const char *path);

#endif
