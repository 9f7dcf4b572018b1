/* One table of all options: the command line, the file and the help are made from it. */

#include "server/options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/utf8.h"
#include "config.h"

enum kind {
	KIND_LISTEN,
	KIND_WORD,
	KIND_NODE,
	KIND_NUMBER,
	KIND_DURATION,
	KIND_FLAG,
	KIND_CHOICE,
	KIND_FILE
};

struct option_kind {
	const char *name;
	enum kind kind;
	size_t offset;
	uint64_t min, max; /* numbers, and durations in ms */
	const char *
		words; /* KIND_CHOICE: the one for false, a bar, the one for true; KIND_WORD: all allowed */
	const char *argument;
	const char *help;
};

#define AT(field) offsetof(struct options, field)
#define SECOND MS_PER_S
#define DAY (24 * 3600 * MS_PER_S)

static const struct option_kind table[] = {
	{"listen", KIND_LISTEN, 0, 0, 0, NULL, "ADDRESS[,framing=auto|line|raw]",
	 "where to listen: 6666, 127.0.0.1:6666, [::]:6666 or unix:/path; repeatable (default "
	 "[::]:6666)"},
	{"engine", KIND_WORD, AT(engine), 0, 0, "auto|uring|epoll|threads", "NAME",
	 "auto, uring, epoll or threads (default auto: the best that works here)"},
	{"workers", KIND_NUMBER, AT(workers), 1, 256, NULL, "N",
	 "threads that serve (default: the cores; `threads` needs none)"},
	{"max-clients", KIND_NUMBER, AT(clients_max), 1, 16000000, NULL, "N",
	 "how many may be in at once (default: what the descriptor limit allows)"},
	{"max-message", KIND_NUMBER, AT(message_max), 16, 1 << 30, NULL, "BYTES",
	 "the longest message (default 65536)"},
	{"linger", KIND_DURATION, AT(linger_ms), 0, 2, NULL, "TIME",
	 "a busy server may answer this much later, to serve many at once: 0 to 2ms (default 2ms)"},
	{"drain", KIND_DURATION, AT(drain_ms), 0, 3600 * SECOND, NULL, "TIME",
	 "on SIGTERM, how long clients have to take what they are owed (default 5s)"},
	{"send-timeout", KIND_DURATION, AT(send_timeout_ms), 100, DAY, NULL, "TIME",
	 "one who takes nothing of what it is owed for so long is ended as slow (default 30s)"},
	{"every", KIND_DURATION, AT(every_ms), 1, 365 * DAY, NULL, "TIME",
	 "the rhythm of clients who name none (default 60s)"},
	{"grace", KIND_DURATION, AT(grace_ms), 0, 365 * DAY, NULL, "TIME",
	 "how late they may be before they are gone (default 30s)"},
	{"min-every", KIND_DURATION, AT(every_min_ms), 1, 365 * DAY, NULL, "TIME",
	 "the quickest rhythm a client may name (default 100ms)"},
	{"max-every", KIND_DURATION, AT(every_max_ms), 1, 365 * DAY, NULL, "TIME",
	 "the slowest (default 7d)"},
	{"min-grace", KIND_DURATION, AT(grace_min_ms), 0, 365 * DAY, NULL, "TIME",
	 "the least grace a client may name (default 100ms)"},
	{"max-grace", KIND_DURATION, AT(grace_max_ms), 0, 365 * DAY, NULL, "TIME",
	 "the most (default 7d)"},
	{"rejoin", KIND_DURATION, AT(rejoin_ms), 0, DAY, NULL, "TIME",
	 "who comes back so soon after its connection broke was never gone (default 5s)"},
	{"duplicate", KIND_CHOICE, AT(refuse_duplicates), 0, 0, "replace|refuse", "WHAT",
	 "replace or refuse: what happens when an id comes twice (default replace)"},
	{"suspect-share", KIND_NUMBER, AT(suspect_share), 0, 100, NULL, "PERCENT",
	 "so many falling silent at once are suspect first; 0: never (default 30)"},
	{"suspect-min", KIND_NUMBER, AT(suspect_min), 1, 1000000000, NULL, "N",
	 "... and at least so many (default 20)"},
	{"suspect-hold", KIND_DURATION, AT(suspect_hold_ms), 0, DAY, NULL, "TIME",
	 "how long they are waited for (default 60s)"},
	{"flap", KIND_NUMBER, AT(flap_changes), 0, 16, NULL, "N",
	 "a client with more changes than this in a window is flapping; 0: none is (default 5)"},
	{"flap-window", KIND_DURATION, AT(flap_window_ms), SECOND, DAY, NULL, "TIME",
	 "that window (default 10m)"},
	{"forget", KIND_DURATION, AT(forget_ms), SECOND, 3650 * DAY, NULL, "TIME",
	 "how long those who are gone stay known (default 30d)"},
	{"max-known", KIND_NUMBER, AT(known_max), 1, 16000000, NULL, "N",
	 "how many names are known at most (default 100000)"},
	{"node", KIND_NODE, AT(node), 0, 0, NULL, "NAME",
	 "what this server calls itself in its events (default: the host's name)"},
	{"log-format", KIND_CHOICE, AT(json), 0, 0, "text|json", "FORMAT",
	 "text or json (default text)"},
	{"show-messages", KIND_FLAG, AT(show_messages), 0, 0, NULL, NULL,
	 "print every message (default: only on a terminal)"},
	{"verbose", KIND_FLAG, AT(verbose), 0, 0, NULL, NULL, "say more about how it is set up"},
	{"config", KIND_FILE, 0, 0, 0, NULL, "FILE",
	 "read options from a file, one `name = value` a line"},
};

#define TABLE_COUNT (sizeof(table) / sizeof(table[0]))

void options_init(struct options *options)
{
	*options = (struct options){
		.engine = "auto",
		.message_max = WIRE_MESSAGE_MAX_DEFAULT,
		.linger_ms = 2,
		.drain_ms = 5 * SECOND,
		.send_timeout_ms = 30 * SECOND,
		.every_ms = 60 * SECOND,
		.grace_ms = 30 * SECOND,
		.every_min_ms = 100,
		.every_max_ms = 7 * DAY,
		.grace_min_ms = 100,
		.grace_max_ms = 7 * DAY,
		.rejoin_ms = 5 * SECOND,
		.forget_ms = 30 * DAY,
		.known_max = 100000,
		.suspect_share = 30,
		.suspect_min = 20,
		.suspect_hold_ms = 60 * SECOND,
		.flap_changes = 5,
		.flap_window_ms = 600 * SECOND,
	};
	if (gethostname(options->node, sizeof(options->node) - 1) != 0 ||
	    !utf8_is_printable_word(options->node, strlen(options->node)))
		strcpy(options->node, "lifeline");
}

static const char *set_listen(struct options *options, const char *value)
{
	const char *comma = strchr(value, ',');
	size_t len = comma != NULL ? (size_t)(comma - value) : strlen(value);
	enum framing framing = FRAMING_AUTO;

	if (options->listen_count == OPTIONS_LISTEN_MAX)
		return "there may be 16 listeners at most";
	if (len == 0 || len >= OPTIONS_LISTEN_TEXT)
		return "is no address";
	if (comma != NULL && strcmp(comma, ",framing=line") == 0)
		framing = FRAMING_LINE;
	else if (comma != NULL && strcmp(comma, ",framing=raw") == 0)
		framing = FRAMING_RAW;
	else if (comma != NULL && strcmp(comma, ",framing=auto") != 0)
		return "after the address may stand ,framing=auto or ,framing=line or ,framing=raw";
	memcpy(options->listen[options->listen_count].where, value, len);
	options->listen[options->listen_count].where[len] = '\0';
	options->listen[options->listen_count++].framing = framing;
	return NULL;
}

/* Whether `value` is one of the words between bars; `*which` counts them. */
static bool is_one_of(const char *words, const char *value, unsigned *which)
{
	size_t len = strlen(value);

	for (*which = 0; words != NULL; (*which)++) {
		const char *bar = strchr(words, '|');
		size_t word = bar != NULL ? (size_t)(bar - words) : strlen(words);

		if (word == len && memcmp(words, value, len) == 0)
			return true;
		words = bar != NULL ? bar + 1 : NULL;
	}
	return false;
}

static const char *set_number(const struct option_kind *option, uint64_t *number, const char *value)
{
	static char why[80];
	char *end;
	unsigned long long read;

	errno = 0;
	read = strtoull(value, &end, 10);
	if (errno != 0 || value[0] < '0' || value[0] > '9' || *end != '\0')
		return "is no whole number";
	if (read < option->min || read > option->max) {
		snprintf(why, sizeof(why), "is outside of %llu to %llu",
			 (unsigned long long)option->min, (unsigned long long)option->max);
		return why;
	}
	*number = read;
	return NULL;
}

static const char *set_duration(const struct option_kind *option, uint64_t *ms, const char *value)
{
	static char why[80];
	char min[DURATION_TEXT], max[DURATION_TEXT];

	if (!duration_read(ms, value, strlen(value)))
		return "is no duration like 500ms, 30s, 5m, 2h or 30d";
	if (*ms < option->min || *ms > option->max) {
		snprintf(why, sizeof(why), "is outside of %s to %s",
			 duration_write(min, option->min), duration_write(max, option->max));
		return why;
	}
	return NULL;
}

static const char *set_node(char *node, const char *value)
{
	size_t len = strlen(value);

	if (len >= OPTIONS_NODE_TEXT || !utf8_is_printable_word(value, len))
		return "is not a name of 1 to 64 bytes of printable text without spaces";
	memcpy(node, value, len + 1);
	return NULL;
}

static const char *set(struct options *options, const struct option_kind *option, const char *value)
{
	static char why[80];
	char *at = (char *)options + option->offset;
	unsigned which;

	switch (option->kind) {
	case KIND_LISTEN:
		return set_listen(options, value);
	case KIND_NUMBER:
		return set_number(option, (uint64_t *)(void *)at, value);
	case KIND_DURATION:
		return set_duration(option, (uint64_t *)(void *)at, value);
	case KIND_NODE:
		return set_node(at, value);
	case KIND_FLAG:
		if (!is_one_of("no|yes|false|true", value, &which))
			return "is neither yes nor no";
		*(bool *)at = which % 2 == 1;
		return NULL;
	case KIND_WORD:
	case KIND_CHOICE:
		if (!is_one_of(option->words, value, &which)) {
			snprintf(why, sizeof(why), "is not one of %s", option->words);
			return why;
		}
		if (option->kind == KIND_WORD)
			strcpy(at, value);
		else
			*(bool *)at = which == 1;
		return NULL;
	case KIND_FILE:
		return "can only be given on the command line";
	}
	return NULL;
}

const char *options_set(struct options *options, const char *name, const char *value,
			bool *is_known)
{
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		if (strcmp(table[i].name, name) == 0) {
			*is_known = true;
			return set(options, &table[i], value);
		}
	}
	*is_known = false;
	return NULL;
}

static void print_help(void)
{
	printf("usage: lifeline serve [OPTION...]\n\n"
	       "Answers every message of every client with `keep alive`, and tells who is "
	       "alive.\n\n");
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", table[i].name,
			 table[i].argument != NULL ? " " : "",
			 table[i].argument != NULL ? table[i].argument : "");
		printf("  %-28s%s%s\n", left,
		       strlen(left) >= 28 ? "\n                              " : "", table[i].help);
	}
	printf("  -v                          the same as --verbose\n"
	       "  -h, --help                  print this\n"
	       "  -V, --version               print the version\n\n"
	       "Exit status: 0 stopped by a signal, 1 could not serve, 2 wrong usage.\n"
	       "Talk to it with: nc 127.0.0.1 6666   See also: man lifeline\n");
}

static void make_long_options(struct option *options)
{
	for (size_t i = 0; i < TABLE_COUNT; i++)
		options[i] = (struct option){
			table[i].name, table[i].kind == KIND_FLAG ? no_argument : required_argument,
			NULL, (int)(256 + i)};
	options[TABLE_COUNT] = (struct option){"help", no_argument, NULL, 'h'};
	options[TABLE_COUNT + 1] = (struct option){"version", no_argument, NULL, 'V'};
}

/*
 * Goes through the command line: only for the files that it names, or for everything else.
 * The file's listeners are replaced by those of the command line, not added to.
 */
static int read_arguments(struct options *options, int argc, char **argv, bool files)
{
	struct option long_options[TABLE_COUNT + 3] = {0};
	bool listens = false;
	int found;

	make_long_options(long_options);
	optind = 0;
	opterr = files;
	while ((found = getopt_long(argc, argv, "vhV", long_options, NULL)) != -1) {
		const struct option_kind *option = found >= 256 ? &table[found - 256] : NULL;
		const char *why = NULL;

		if (found == '?')
			return -1;
		if (found == 'h') {
			print_help();
			return 1;
		}
		if (found == 'V') {
			printf("lifeline %s\n", LIFELINE_VERSION);
			return 1;
		}
		if (files != (option != NULL && option->kind == KIND_FILE))
			continue;
		if (files) {
			if (options_file_read(options, optarg) != 0)
				return -1;
			continue;
		}
		if (option != NULL && option->kind == KIND_LISTEN && !listens) {
			listens = true;
			options->listen_count = 0;
		}
		if (option == NULL)
			options->verbose = true;
		else
			why = set(options, option, option->kind == KIND_FLAG ? "yes" : optarg);
		if (why != NULL) {
			fprintf(stderr, "lifeline: --%s %s: %s\n", option->name, optarg, why);
			return -1;
		}
	}
	if (optind < argc) {
		fprintf(stderr,
			"lifeline: `%s` is not an option of `lifeline serve`; see lifeline serve "
			"--help\n",
			argv[optind]);
		return -1;
	}
	return 0;
}

/* What no option by itself can be wrong about. */
static int check_together(const struct options *options)
{
	if (options->every_min_ms > options->every_max_ms ||
	    options->grace_min_ms > options->grace_max_ms) {
		fprintf(stderr, "lifeline: --min-every and --min-grace may not be above "
				"--max-every and --max-grace\n");
		return -1;
	}
	return 0;
}

int options_read(struct options *options, int argc, char **argv)
{
	int result = read_arguments(options, argc, argv, true);

	if (result == 0)
		result = read_arguments(options, argc, argv, false);
	if (result == 0)
		result = check_together(options);
	if (result == 0 && options->listen_count == 0)
		set_listen(options, "[::]:6666");
	return result;
}
