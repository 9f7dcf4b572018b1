/* `lifeline connect`: reads the command line and chooses between pipe and prompt. */

#include "cli/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/utf8.h"
#include "cli/commands.h"
#include "cli/connect_json.h"
#include "cli/connect_loop.h"
#include "cli/connect_pipe.h"
#include "cli/connect_prompt.h"
#include "cli/connect_signals.h"

#define USAGE 2

/* Of a name, a group and a key. */
#define WORD_MAX 128

static const char usage_text[] =
	"Usage: lifeline connect [OPTION]... [HOST[:PORT] | unix:PATH]\n"
	"Talks to a lifeline server, at 127.0.0.1:6666 unless told otherwise.\n"
	"On a terminal there is a prompt. Otherwise each line of standard input is a message and\n"
	"each reply a line of standard output. `stop`, said or received, ends it.\n"
	"\n"
	"Who and how often:\n"
	"      --id NAME             name this client (at most 128 bytes, no spaces)\n"
	"      --group NAME          its group; needs --id, as the next two do\n"
	"      --key KEY             the key the server asks for\n"
	"      --grace DURATION      how much longer than --every it may be silent\n"
	"      --every DURATION      send a heartbeat when nothing else was said for so long;\n"
	"                            with --id the server is told, and it is sent a tenth earlier\n"
	"      --heartbeat TEXT      what it says (ping)\n"
	"      --greeting TEXT       say this first on every connection\n"
	"\n"
	"The connection:\n"
	"      --framing line|raw    raw: the server knows no lines; each word of standard input\n"
	"                            is a message, sent as it is when the last was answered "
	"(line)\n"
	"      --reconnect           come back when the connection is lost or cannot be made;\n"
	"                            what was not answered is said again. Not after `stop` "
	"(unless\n"
	"                            `retry` came before it), nor after `error`\n"
	"      --reconnect-max D     the longest wait before it (30s); waits are drawn at random\n"
	"                            from 0 to a bound that doubles, after what `retry` asks for\n"
	"      --connect-timeout D   for each address of the host (10s)\n"
	"      --reply-timeout D     a reply owed for so long means the connection is lost (60s);\n"
	"                            0 waits for ever\n"
	"      --no-stop             at the end of input do not say `stop`: half-close, and take\n"
	"                            the replies that are owed\n"
	"      --stay                the end of input ends nothing: stay until the server or a\n"
	"                            signal ends it\n"
	"\n"
	"What is shown:\n"
	"      --rtt                 the time each reply took, and what it replies to\n"
	"      --json                one JSON object for each reply and event\n"
	"  -q, --quiet               no replies, no remarks\n"
	"  -h, --help                this text\n"
	"\n"
	"Durations: 500ms, 30s, 5m, 2h. SIGINT and SIGTERM say `stop` and end it; twice, at once.\n"
	"Exit status: 0 stopped, 1 never connected, connection lost or refused, 2 wrong usage.\n";

enum option_code {
	OPTION_ID = 256,
	OPTION_GROUP,
	OPTION_KEY,
	OPTION_GRACE,
	OPTION_EVERY,
	OPTION_HEARTBEAT,
	OPTION_GREETING,
	OPTION_FRAMING,
	OPTION_RECONNECT,
	OPTION_RECONNECT_MAX,
	OPTION_CONNECT_TIMEOUT,
	OPTION_REPLY_TIMEOUT,
	OPTION_NO_STOP,
	OPTION_STAY,
	OPTION_RTT,
	OPTION_JSON,
};

static const struct option long_options[] = {
	{"id", required_argument, NULL, OPTION_ID},
	{"group", required_argument, NULL, OPTION_GROUP},
	{"key", required_argument, NULL, OPTION_KEY},
	{"grace", required_argument, NULL, OPTION_GRACE},
	{"every", required_argument, NULL, OPTION_EVERY},
	{"heartbeat", required_argument, NULL, OPTION_HEARTBEAT},
	{"greeting", required_argument, NULL, OPTION_GREETING},
	{"framing", required_argument, NULL, OPTION_FRAMING},
	{"reconnect", no_argument, NULL, OPTION_RECONNECT},
	{"reconnect-max", required_argument, NULL, OPTION_RECONNECT_MAX},
	{"connect-timeout", required_argument, NULL, OPTION_CONNECT_TIMEOUT},
	{"reply-timeout", required_argument, NULL, OPTION_REPLY_TIMEOUT},
	{"no-stop", no_argument, NULL, OPTION_NO_STOP},
	{"stay", no_argument, NULL, OPTION_STAY},
	{"rtt", no_argument, NULL, OPTION_RTT},
	{"json", no_argument, NULL, OPTION_JSON},
	{"quiet", no_argument, NULL, 'q'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

/* Says what is wrong with the command line. False, for the caller to return. */
static bool wrong(const char *what, const char *value, const char *why)
{
	fprintf(stderr, "lifeline connect: %s%s%s: %s; see `lifeline connect --help`\n", what,
		value ? " " : "", value ? value : "", why);
	return false;
}

static bool read_duration(uint64_t *ms, const char *what, const char *value, bool may_be_zero)
{
	if (!duration_read(ms, value, strlen(value)))
		return wrong(what, value, "a duration is written like 500ms, 30s, 5m or 2h");
	if (*ms == 0 && !may_be_zero)
		return wrong(what, value, "it must be longer");
	return true;
}

static bool read_word(const char **word, const char *what, const char *value)
{
	size_t len = strlen(value);

	if (len == 0 || len > WORD_MAX || !utf8_is_printable_word(value, len))
		return wrong(what, value, "it is 1 to 128 bytes of printable UTF-8 without spaces");
	*word = value;
	return true;
}

/* A message of our own: one message, and not the one that ends it all. */
static bool read_text(const char **text, const char *what, const char *value)
{
	if (*value == '\0' || strlen(value) > CLIENT_OWN_MAX)
		return wrong(what, NULL, "it is 1 to 4096 bytes long");
	if (strchr(value, '\n'))
		return wrong(what, NULL, "it is one line");
	if (strcmp(value, "stop") == 0)
		return wrong(what, value, "that would end the conversation");
	*text = value;
	return true;
}

static bool read_framing(enum framing *framing, const char *value)
{
	if (strcmp(value, "line") == 0)
		*framing = FRAMING_LINE;
	else if (strcmp(value, "raw") == 0)
		*framing = FRAMING_RAW;
	else
		return wrong("--framing", value, "it is line or raw");
	return true;
}

static bool read_flag(struct connect_options *options, int code)
{
	switch (code) {
	case OPTION_RECONNECT:
		options->reconnect = true;
		return true;
	case OPTION_NO_STOP:
		options->no_stop = true;
		return true;
	case OPTION_STAY:
		options->stay = true;
		return true;
	case OPTION_RTT:
		options->rtt = true;
		return true;
	case OPTION_JSON:
		options->json = true;
		return true;
	case 'q':
		options->quiet = true;
		return true;
	default:
		/* getopt_long has said what is wrong. */
		fputs("See `lifeline connect --help`.\n", stderr);
		return false;
	}
}

static bool read_option(struct connect_options *options, int code, const char *value)
{
	switch (code) {
	case OPTION_ID:
		return read_word(&options->name, "--id", value);
	case OPTION_GROUP:
		return read_word(&options->group, "--group", value);
	case OPTION_KEY:
		return read_word(&options->key, "--key", value);
	case OPTION_GRACE:
		return read_duration(&options->grace_ms, "--grace", value, false);
	case OPTION_EVERY:
		return read_duration(&options->every_ms, "--every", value, false);
	case OPTION_HEARTBEAT:
		return read_text(&options->heartbeat, "--heartbeat", value);
	case OPTION_GREETING:
		return read_text(&options->greeting, "--greeting", value);
	case OPTION_FRAMING:
		return read_framing(&options->framing, value);
	case OPTION_RECONNECT_MAX:
		return read_duration(&options->reconnect_max_ms, "--reconnect-max", value, false);
	case OPTION_CONNECT_TIMEOUT:
		return read_duration(&options->connect_timeout_ms, "--connect-timeout", value,
				     false);
	case OPTION_REPLY_TIMEOUT:
		return read_duration(&options->reply_timeout_ms, "--reply-timeout", value, true);
	default:
		return read_flag(options, code);
	}
}

/* What the options are together. */
static bool agree(const struct connect_options *options)
{
	if (!options->name && (options->group || options->key || options->grace_ms > 0))
		return wrong("--group, --key and --grace", NULL, "they need --id");
	if (options->no_stop && options->stay)
		return wrong("--no-stop and --stay", NULL, "the end of input can mean one of them");
	if (options->json && !connect_json_is_there())
		return wrong("--json", NULL, "this lifeline was built without jansson");
	return true;
}

static void write_id(struct connect_options *options)
{
	char duration[DURATION_TEXT];
	FILE *id = fmemopen(options->id, sizeof(options->id), "w");

	if (!id)
		abort();
	fprintf(id, "id %s", options->name);
	if (options->every_ms > 0)
		fprintf(id, " every=%s", duration_write(duration, options->every_ms));
	if (options->grace_ms > 0)
		fprintf(id, " grace=%s", duration_write(duration, options->grace_ms));
	if (options->group)
		fprintf(id, " group=%s", options->group);
	if (options->key)
		fprintf(id, " key=%s", options->key);
	fclose(id);
}

/* False: the exit status is `*status`. */
static bool read_options(struct connect_options *options, int argc, char **argv, int *status)
{
	int code;

	*status = USAGE;
	while ((code = getopt_long(argc, argv, "qh", long_options, NULL)) != -1) {
		if (code == 'h') {
			fputs(usage_text, stdout);
			*status = fflush(stdout) == 0 ? 0 : 1;
			return false;
		}
		if (!read_option(options, code, optarg))
			return false;
	}
	if (argc - optind > 1)
		return wrong(argv[optind + 1], NULL, "there is one server to talk to");
	if (optind < argc)
		options->target = argv[optind];
	if (!agree(options))
		return false;
	if (options->name)
		write_id(options);
	return true;
}

/* A descriptor that was closed by whoever started us must not become our socket. */
static void fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

static int run(const struct connect_options *options)
{
	bool on_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !options->json;
	/* One in a process, and too large for a small stack. */
	static struct connect_loop loop;
	enum connect_show_mode mode =
		options->json ? CONNECT_SHOW_JSON
			      : (on_terminal ? CONNECT_SHOW_PROMPT : CONNECT_SHOW_TEXT);
	int error = connect_loop_init(&loop, options, mode);

	if (error == 0 && on_terminal)
		connect_prompt_run(&loop);
	else if (error == 0)
		error = connect_pipe_run(&loop);
	if (error < 0) {
		fprintf(stderr, "lifeline: %s\n", strerror(-error));
		return 1;
	}
	connect_loop_fini(&loop);
	if (loop.show.error && loop.show.error != EPIPE)
		fprintf(stderr, "lifeline: cannot write the replies: %s\n",
			strerror(loop.show.error));
	return loop.show.error ? 1 : loop.status;
}

int connect_main(int argc, char **argv)
{
	struct connect_options options = {.target = "127.0.0.1:6666",
					  .framing = FRAMING_LINE,
					  .heartbeat = "ping",
					  .connect_timeout_ms = 10 * MS_PER_S,
					  .reply_timeout_ms = 60 * MS_PER_S,
					  .reconnect_max_ms = 30 * MS_PER_S};
	static char name[] = "lifeline connect";
	int status, error;

	/* For what getopt_long has to say. */
	argv[0] = name;
	if (!read_options(&options, argc, argv, &status))
		return status;
	fill_standard_descriptors();
	error = connect_signals_open();
	if (error < 0) {
		fprintf(stderr, "lifeline: cannot take signals: %s\n", strerror(-error));
		return 1;
	}
	status = run(&options);
	connect_signals_close();
	return status;
}

const struct command command_connect = {
	.name = "connect",
	.summary = "talk to a server, from a terminal or a pipe",
	.main = connect_main,
};
