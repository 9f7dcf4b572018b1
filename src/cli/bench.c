/*
 * `lifeline bench`: reads what load is wanted, runs it, reports. What load is, is in src/load.
 */

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/time.h"
#include "cli/commands.h"
#include "load/report.h"

/* Descriptors that are no clients: standard streams, epoll, /proc. */
#define SPARE_DESCRIPTORS 16

static const char help[] =
	"usage: lifeline bench [OPTION...] [HOST[:PORT]]      (127.0.0.1:6666; also unix:PATH)\n"
	"\n"
	"Loads a TCP server that answers each message with the same text, and checks every reply.\n"
	"\n"
	"What is said\n"
	"  --message TEXT       the message (beat); \\n \\r \\t \\0 \\\\ \\xHH are understood in "
	"all texts\n"
	"  --expect TEXT|BYTES  its reply (keep alive), or how many bytes of whatever kind make "
	"one\n"
	"  --framing line       texts end with LF, which is added\n"
	"            raw        nothing is added; the next message waits for the reply\n"
	"            bytes      nothing is added\n"
	"  --greeting           the server speaks first: one line, whatever it says\n"
	"  --ignore TEXT        what the server may say at any time between replies\n"
	"  --hello TEXT         said once by each client; \\# is the client's number\n"
	"  --hello-expect TEXT  the reply to it, '' for none (as --expect)\n"
	"  --bye TEXT           said at the end, whereupon the server closes ('' or, with --churn, "
	"stop)\n"
	"  --bye-expect TEXT    the reply to it, '' for none (stop)\n"
	"\n"
	"How much\n"
	"  --clients N          clients at once (100)\n"
	"  --pipeline D         closed loop: each client has D messages under way (1)\n"
	"  --rate R             open loop: R messages a second in all, on schedule whatever the "
	"server\n"
	"                       does; latency counts from the scheduled time\n"
	"  --churn              each client connects, says a message and bye, and begins again\n"
	"  --idle               hold the clients, each says a message --every so often\n"
	"  --every TIME         for --idle (30s)\n"
	"  --ramp R             connect R clients a second (as fast as it goes)\n"
	"  --duration TIME      how long is measured (10s)\n"
	"  --warmup TIME        not measured before (0)\n"
	"  --timeout TIME       for a connection, for the last replies, for a round of churn (5s)\n"
	"  --threads N          threads of this tool (1)\n"
	"  --congestion NAME    TCP congestion control of this end (the system's)\n"
	"  --source ADDRESS     connect from there; repeatable (loopback takes what it needs by "
	"itself)\n"
	"\n"
	"What is shown\n"
	"  --pid PID[,PID...]   the server's process: its CPU time a message and memory a client\n"
	"  --json               for programs\n"
	"\n"
	"Exit status: 0 every reply was right; 1 one was wrong, missing or surplus, or no "
	"connection;\n"
	"2 usage. An interrupt ends it early, with the report so far.\n";

enum {
	OPT_MESSAGE = 256,
	OPT_EXPECT,
	OPT_IGNORE,
	OPT_CONGESTION,
	OPT_FRAMING,
	OPT_GREETING,
	OPT_HELLO,
	OPT_HELLO_EXPECT,
	OPT_BYE,
	OPT_BYE_EXPECT,
	OPT_CLIENTS,
	OPT_PIPELINE,
	OPT_RATE,
	OPT_CHURN,
	OPT_IDLE,
	OPT_EVERY,
	OPT_RAMP,
	OPT_DURATION,
	OPT_WARMUP,
	OPT_TIMEOUT,
	OPT_THREADS,
	OPT_SOURCE,
	OPT_PID,
	OPT_JSON
};

static const struct option long_options[] = {
	{"message", required_argument, NULL, OPT_MESSAGE},
	{"expect", required_argument, NULL, OPT_EXPECT},
	{"ignore", required_argument, NULL, OPT_IGNORE},
	{"framing", required_argument, NULL, OPT_FRAMING},
	{"greeting", no_argument, NULL, OPT_GREETING},
	{"hello", required_argument, NULL, OPT_HELLO},
	{"hello-expect", required_argument, NULL, OPT_HELLO_EXPECT},
	{"bye", required_argument, NULL, OPT_BYE},
	{"bye-expect", required_argument, NULL, OPT_BYE_EXPECT},
	{"clients", required_argument, NULL, OPT_CLIENTS},
	{"pipeline", required_argument, NULL, OPT_PIPELINE},
	{"rate", required_argument, NULL, OPT_RATE},
	{"churn", no_argument, NULL, OPT_CHURN},
	{"idle", no_argument, NULL, OPT_IDLE},
	{"every", required_argument, NULL, OPT_EVERY},
	{"ramp", required_argument, NULL, OPT_RAMP},
	{"duration", required_argument, NULL, OPT_DURATION},
	{"warmup", required_argument, NULL, OPT_WARMUP},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"threads", required_argument, NULL, OPT_THREADS},
	{"congestion", required_argument, NULL, OPT_CONGESTION},
	{"source", required_argument, NULL, OPT_SOURCE},
	{"pid", required_argument, NULL, OPT_PID},
	{"json", no_argument, NULL, OPT_JSON},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

/* What the options say, as long as one of them may still change what another one means. */
struct wish {
	struct load_plan *plan;
	const char *target;
	const char *message, *expect, *ignore, *hello, *hello_expect, *bye, *bye_expect;
	const char *framing;
	const char *sources[SOURCES_MAX];
	unsigned sources_count;
	uint64_t every_ns;
	bool idle, json, help;
};

static int complain(const char *what, const char *about)
{
	fprintf(stderr, "lifeline bench: %s%s%s; see lifeline bench --help\n", what,
		about != NULL ? ": " : "", about != NULL ? about : "");
	return -1;
}

static int read_count(uint64_t *count, const char *text, uint64_t max, const char *option)
{
	char *end;

	errno = 0;
	*count = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || *text == '-' || *count < 1 ||
	    *count > max) {
		fprintf(stderr, "lifeline bench: %s takes a number from 1 to %llu, not `%s`\n",
			option, (unsigned long long)max, text);
		return -1;
	}
	return 0;
}

static int read_rate(double *rate, const char *text, const char *option)
{
	char *end;

	*rate = strtod(text, &end);
	if (end == text || (*end != '\0' && strcmp(end, "/s") != 0) || !(*rate > 0) ||
	    *rate > 1e9) {
		fprintf(stderr, "lifeline bench: %s takes a number a second, not `%s`\n", option,
			text);
		return -1;
	}
	return 0;
}

static int read_time(uint64_t *ns, const char *text, const char *option)
{
	uint64_t ms;

	if (!duration_read(&ms, text, strlen(text))) {
		fprintf(stderr, "lifeline bench: %s takes a time like 500ms, 10s or 5m, not `%s`\n",
			option, text);
		return -1;
	}
	*ns = ms * NS_PER_MS;
	return 0;
}

static int read_pids(struct load_plan *plan, const char *text)
{
	while (true) {
		char *end;
		long pid = strtol(text, &end, 10);

		if (end == text || pid < 1 || pid > INT32_MAX || (*end != ',' && *end != '\0'))
			return complain("--pid takes process numbers", text);
		if (plan->pids_count == PLAN_PIDS_MAX)
			return complain("--pid takes no more than 16 processes", NULL);
		plan->pids[plan->pids_count++] = (pid_t)pid;
		if (*end == '\0')
			return 0;
		text = end + 1;
	}
}

static int take_number(struct load_plan *plan, int option)
{
	uint64_t count = 0;

	switch (option) {
	case OPT_CLIENTS:
		if (read_count(&count, optarg, 10 * 1000 * 1000, "--clients") < 0)
			return -1;
		plan->clients = (uint32_t)count;
		return 0;
	case OPT_PIPELINE:
		if (read_count(&count, optarg, 65536, "--pipeline") < 0)
			return -1;
		plan->pipeline = (uint32_t)count;
		return 0;
	default:
		if (read_count(&count, optarg, PLAN_THREADS_MAX, "--threads") < 0)
			return -1;
		plan->threads = (unsigned)count;
		return 0;
	}
}

static int take_text(struct wish *wish, int option)
{
	switch (option) {
	case OPT_MESSAGE:
		wish->message = optarg;
		return 0;
	case OPT_EXPECT:
		wish->expect = optarg;
		return 0;
	case OPT_IGNORE:
		wish->ignore = optarg;
		return 0;
	case OPT_CONGESTION:
		wish->plan->congestion = optarg;
		return 0;
	case OPT_FRAMING:
		wish->framing = optarg;
		return 0;
	case OPT_HELLO:
		wish->hello = optarg;
		return 0;
	case OPT_HELLO_EXPECT:
		wish->hello_expect = optarg;
		return 0;
	case OPT_BYE:
		wish->bye = optarg;
		return 0;
	case OPT_BYE_EXPECT:
		wish->bye_expect = optarg;
		return 0;
	default: /* a source */
		if (wish->sources_count == SOURCES_MAX)
			return complain("too many sources", NULL);
		wish->sources[wish->sources_count++] = optarg;
		return 0;
	}
}

static int take(struct wish *wish, int option)
{
	struct load_plan *plan = wish->plan;

	switch (option) {
	case OPT_CLIENTS:
	case OPT_PIPELINE:
	case OPT_THREADS:
		return take_number(plan, option);
	case OPT_RATE:
		return read_rate(&plan->rate, optarg, "--rate");
	case OPT_RAMP:
		return read_rate(&plan->ramp, optarg, "--ramp");
	case OPT_EVERY:
		return read_time(&wish->every_ns, optarg, "--every");
	case OPT_DURATION:
		return read_time(&plan->duration_ns, optarg, "--duration");
	case OPT_WARMUP:
		return read_time(&plan->warmup_ns, optarg, "--warmup");
	case OPT_TIMEOUT:
		return read_time(&plan->timeout_ns, optarg, "--timeout");
	case OPT_PID:
		return read_pids(plan, optarg);
	case OPT_CHURN:
		plan->churn = true;
		return 0;
	case OPT_IDLE:
		wish->idle = true;
		return 0;
	case OPT_GREETING:
		plan->greeting = true;
		return 0;
	case OPT_JSON:
		wish->json = true;
		return 0;
	case 'h':
		wish->help = true;
		return 0;
	case '?':
	case ':':
		fprintf(stderr, "see lifeline bench --help\n");
		return -1;
	default:
		return take_text(wish, option);
	}
}

static int say(struct literal *literal, const char *option, const char *text, const char *end)
{
	int status = literal_read(literal, text, end);

	if (status == -EINVAL)
		fprintf(stderr,
			"lifeline bench: %s has an escape that is none of \\n \\r \\t \\0 \\\\ "
			"\\xHH: `%s`\n",
			option, text);
	else if (status == 0 && literal->len > EXPECTATION_REPLY_MAX)
		status = complain("a text is longer than 1 MiB", option);
	else if (status == 0 && literal->number_at != LITERAL_NO_NUMBER &&
		 strcmp(option, "--hello") != 0)
		status = complain("only --hello can have a number in it, not", option);
	return status < 0 ? -1 : 0;
}

static int expect(struct expectation *expectation, const char *option, const char *text,
		  const char *end)
{
	struct literal literal;
	char *rest;
	unsigned long bytes = strtoul(text, &rest, 10);
	int status;

	if (*text >= '0' && *text <= '9' && *rest == '\0') {
		status = expectation_init(expectation, NULL, bytes);
	} else if (*text == '\0') {
		return expectation_init(expectation, "", 0);
	} else {
		if (say(&literal, option, text, end) < 0)
			return -1;
		status = expectation_init(expectation, literal.bytes, literal.len);
		literal_fini(&literal);
	}
	return status < 0 ? complain(strerror(-status), option) : 0;
}

static int ignore(struct expectation *expectation, const char *text, const char *end)
{
	struct literal literal;
	int status;

	if (say(&literal, "--ignore", text, end) < 0)
		return -1;
	status = expectation_ignore(expectation, literal.bytes, literal.len);
	literal_fini(&literal);
	return status < 0 ? complain(strerror(-status), "--ignore") : 0;
}

static int fill_texts(struct wish *wish)
{
	struct load_plan *plan = wish->plan;
	bool is_line = strcmp(wish->framing, "line") == 0;
	const char *end = is_line ? "\n" : "";
	const char *bye = wish->bye != NULL ? wish->bye : plan->churn ? "stop" : "";

	if (!is_line && strcmp(wish->framing, "raw") != 0 && strcmp(wish->framing, "bytes") != 0)
		return complain("--framing is line, raw or bytes, not", wish->framing);
	plan->one_at_a_time = strcmp(wish->framing, "raw") == 0;
	if (say(&plan->message, "--message", wish->message, end) < 0 ||
	    expect(&plan->reply, "--expect", wish->expect, end) < 0)
		return -1;
	if (wish->ignore != NULL && ignore(&plan->reply, wish->ignore, end) < 0)
		return -1;
	if (plan->message.len == 0)
		return complain("an empty message cannot be sent without a framing", NULL);
	if (plan->reply.len == 0)
		return complain("--expect cannot be empty", NULL);
	if (wish->hello != NULL &&
	    (say(&plan->hello, "--hello", wish->hello, end) < 0 ||
	     expect(&plan->hello_reply, "--hello-expect",
		    wish->hello_expect != NULL ? wish->hello_expect : wish->expect, end) < 0))
		return -1;
	if (*bye != '\0' && (say(&plan->bye, "--bye", bye, end) < 0 ||
			     expect(&plan->bye_reply, "--bye-expect", wish->bye_expect, end) < 0))
		return -1;
	return 0;
}

/* Several addresses: the first one that lets us in. */
static bool answers(const struct endpoint *endpoint)
{
	int error = 1,
	    fd = socket(endpoint->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct pollfd writable = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof(error);

	if (fd < 0)
		return false;
	if (connect(fd, (const struct sockaddr *)&endpoint->address, endpoint->len) == 0)
		error = 0;
	else if (errno == EINPROGRESS && poll(&writable, 1, 2000) == 1)
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	close(fd);
	return error == 0;
}

static int fill_target(struct wish *wish)
{
	struct load_plan *plan = wish->plan;
	struct endpoint endpoints[8];
	const char *why;
	int at = 0, count = endpoint_read(endpoints, 8, wish->target, 6666, false, &why);

	if (count < 1)
		return complain(why, wish->target);
	while (at + 1 < count && !answers(&endpoints[at]))
		at++;
	plan->target = endpoints[at];
	plan->target_text = wish->target;
	sources_init(&plan->sources, &plan->target, wish->sources_count > 0 ? 0 : plan->clients,
		     sources_ports());
	for (unsigned i = 0; i < wish->sources_count; i++) {
		if (sources_add(&plan->sources, wish->sources[i]) < 0)
			return complain("--source takes addresses of one kind, IPv4 or IPv6",
					wish->sources[i]);
	}
	return 0;
}

static int fill_amounts(struct wish *wish)
{
	struct load_plan *plan = wish->plan;

	if (plan->churn && (wish->idle || plan->rate > 0))
		return complain("--churn goes with neither --rate nor --idle", NULL);
	if (wish->idle && plan->rate > 0)
		return complain("--idle says --every, not --rate", NULL);
	if (wish->idle && wish->every_ns == 0)
		return complain("--every must be more than 0", NULL);
	if (wish->idle)
		plan->rate = (double)plan->clients * NS_PER_S / (double)wish->every_ns;
	if (plan->one_at_a_time && plan->pipeline > 1)
		return complain(
			"--framing raw has no --pipeline: what is received at once is one message",
			NULL);
	if (plan->duration_ns == 0 || plan->timeout_ns == 0)
		return complain("--duration and --timeout must be more than 0", NULL);
	if (plan->threads > plan->clients)
		plan->threads = plan->clients;
	return 0;
}

static int raise_descriptors(uint32_t clients)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= (rlim_t)clients + SPARE_DESCRIPTORS)
		return 0;
	fprintf(stderr,
		"lifeline bench: %u clients need as many descriptors, and this process may have "
		"%llu: "
		"raise the hard limit (ulimit -Hn), or run several\n",
		clients, (unsigned long long)limit.rlim_max);
	return -1;
}

/* 0, or -1 where it was told what is wrong. */
static int read_wish(struct wish *wish, int argc, char **argv)
{
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (take(wish, option) < 0)
			return -1;
	}
	if (wish->help)
		return 0;
	if (argc - optind > 1)
		return complain("one server at a time, not also", argv[optind + 1]);
	if (argc - optind == 1)
		wish->target = argv[optind];
	if (fill_texts(wish) < 0 || fill_amounts(wish) < 0 || fill_target(wish) < 0)
		return -1;
	return raise_descriptors(wish->plan->clients);
}

static int run(const struct wish *wish)
{
	static struct load_result result;
	bool on_terminal = isatty(STDERR_FILENO) && !wish->json;
	int status;

	signal(SIGPIPE, SIG_IGN);
	status = load_run(wish->plan, &result, on_terminal ? report_progress : NULL);
	if (on_terminal)
		report_progress(wish->plan, NULL);
	if (status < 0) {
		fprintf(stderr, "lifeline bench: %s\n", strerror(-status));
		return 1;
	}
	if (wish->json)
		report_write_json(stdout, wish->plan, &result);
	else
		report_write(stdout, wish->plan, &result);
	return report_is_good(wish->plan, &result) ? 0 : 1;
}

static void forget(struct load_plan *plan)
{
	literal_fini(&plan->message);
	literal_fini(&plan->hello);
	literal_fini(&plan->bye);
	expectation_fini(&plan->reply);
	expectation_fini(&plan->hello_reply);
	expectation_fini(&plan->bye_reply);
}

static int main_of_bench(int argc, char **argv)
{
	/* Large, and no initialiser: it would be part of the binary. */
	static struct load_plan plan;
	static struct wish wish;
	int status;

	plan.clients = 100;
	plan.threads = 1;
	plan.pipeline = 1;
	plan.duration_ns = 10 * NS_PER_S;
	plan.timeout_ns = 5 * NS_PER_S;
	wish.plan = &plan;
	wish.target = "127.0.0.1:6666";
	wish.message = "beat";
	wish.expect = "keep alive";
	wish.bye_expect = "stop";
	wish.framing = "line";
	wish.every_ns = 30 * NS_PER_S;
	status = read_wish(&wish, argc, argv) < 0 ? 2 : 0;
	if (status == 0 && wish.help)
		fputs(help, stdout);
	else if (status == 0)
		status = run(&wish);
	forget(&plan);
	return status;
}

const struct command command_bench = {
	.name = "bench",
	.summary = "load a server, check every reply, and measure",
	.main = main_of_bench,
};
