/* Turns what was counted and read into figures, and writes them. */

#include "load/report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/time.h"

struct figures {
	double seconds;
	double messages, messages_per_s, cycles, cycles_per_s, connects_per_s;
	double load_share; /* of one core */
	bool server_known, memory_known;
	double cpu_us, server_share; /* for each message, or round of churn; of one core */
	double client_bytes, client_bytes_end;
};

static const struct {
	const char *key, *text;
	unsigned ppm;
} quantiles[] = {
	{"p50", "p50", 500000},
	{"p90", "p90", 900000},
	{"p99", "p99", 990000},
	{"p999", "p99.9", 999000},
};

#define QUANTILES (sizeof(quantiles) / sizeof(quantiles[0]))

static double per(double amount, double of)
{
	return of > 0 ? amount / of : 0;
}

static void figure_server(struct figures *figures, const struct load_plan *plan,
			  const struct load_result *result)
{
	const struct load_moment *from = &result->from, *until = &result->until;
	double cpu_ns, work = plan->churn ? figures->cycles : figures->messages;

	if (!from->cpu_known || !until->cpu_known)
		return;
	figures->server_known = true;
	cpu_ns = (double)(until->server_cpu_ns - from->server_cpu_ns);
	figures->cpu_us = per(cpu_ns / 1000, work);
	figures->server_share = per(cpu_ns / NS_PER_S, figures->seconds);
	if (plan->churn || !result->before.bytes_known || !result->connected.bytes_known ||
	    !until->bytes_known)
		return;
	figures->memory_known = true;
	figures->client_bytes =
		((double)result->connected.server_bytes - (double)result->before.server_bytes) /
		plan->clients;
	figures->client_bytes_end =
		((double)until->server_bytes - (double)result->before.server_bytes) / plan->clients;
}

static struct figures figure(const struct load_plan *plan, const struct load_result *result)
{
	const struct load_moment *from = &result->from, *until = &result->until;
	struct figures figures = {0};

	if (!plan->churn)
		figures.connects_per_s = per((double)result->tally.connects * NS_PER_S,
					     (double)(result->connected.ns - result->before.ns));
	if (!result->measured)
		return figures;
	figures.seconds = (double)(until->ns - from->ns) / NS_PER_S;
	figures.messages = (double)(until->replies - from->replies);
	figures.messages_per_s = per(figures.messages, figures.seconds);
	figures.cycles = (double)(until->cycles - from->cycles);
	figures.cycles_per_s = per(figures.cycles, figures.seconds);
	if (plan->churn)
		figures.connects_per_s = figures.cycles_per_s;
	figures.load_share =
		per((double)(until->own_cpu_ns - from->own_cpu_ns) / NS_PER_S, figures.seconds);
	figure_server(&figures, plan, result);
	return figures;
}

bool report_is_good(const struct load_plan *plan, const struct load_result *result)
{
	if (tally_faults(&result->tally) > 0 || result->tally.skipped > 0)
		return false;
	/* Ended before it began it has shown nothing wrong; else something must have been heard. */
	return plan->message.len == 0 || result->tally.replies > 0 || plan->reply.len == 0 ||
	       result->interrupted || plan->rate > 0;
}

static const char *mode(const struct load_plan *plan)
{
	if (plan->churn)
		return "churn";
	return plan->rate > 0 ? "open loop" : "closed loop";
}

static const char *duration(char text[32], uint64_t ns)
{
	if (ns < 10 * 1000)
		snprintf(text, 32, "%.2f µs", (double)ns / 1e3);
	else if (ns < 1000 * 1000)
		snprintf(text, 32, "%.0f µs", (double)ns / 1e3);
	else if (ns < NS_PER_S)
		snprintf(text, 32, "%.2f ms", (double)ns / 1e6);
	else
		snprintf(text, 32, "%.2f s", (double)ns / 1e9);
	return text;
}

static void write_latency(FILE *to, const char *what, const struct histogram *histogram)
{
	char text[32];

	if (histogram->count == 0)
		return;
	fprintf(to, "  %-10s min %s", what, duration(text, histogram->min));
	for (unsigned i = 0; i < QUANTILES; i++) {
		fprintf(to, " · %s %s", quantiles[i].text,
			duration(text, histogram_quantile(histogram, quantiles[i].ppm)));
	}
	fprintf(to, " · max %s\n", duration(text, histogram->max));
}

static void write_faults(FILE *to, const struct tally *tally)
{
	if (tally->skipped > 0)
		fprintf(to, "  not sent   %" PRIu64 ", because their client was not there\n",
			tally->skipped);
	if (tally_faults(tally) == 0) {
		fprintf(to, "  errors     none: every reply was checked\n");
		return;
	}
	for (unsigned i = 0; i < LOAD_FAULTS; i++) {
		if (tally->faults[i] == 0)
			continue;
		fprintf(to, "  error      %" PRIu64 " × %s", tally->faults[i],
			tally_fault_text((enum load_fault)i));
		if (i == LOAD_OTHER)
			fprintf(to, " (%s)", strerror(tally->other_error));
		fputc('\n', to);
	}
}

static void write_plan(FILE *to, const struct load_plan *plan, const struct load_result *result)
{
	fprintf(to, "%s: %s, %" PRIu32 " client%s", plan->target_text, mode(plan), plan->clients,
		plan->clients == 1 ? "" : "s");
	if (plan->rate > 0)
		fprintf(to, ", %.6g messages/s on schedule", plan->rate);
	else if (!plan->churn)
		fprintf(to, ", %" PRIu32 " message%s under way each", plan->pipeline,
			plan->pipeline == 1 ? "" : "s");
	fprintf(to, "%s\n", result->interrupted ? " (interrupted)" : "");
}

static void write_server(FILE *to, const struct load_plan *plan, const struct figures *figures)
{
	if (plan->pids_count == 0 || figures->seconds <= 0)
		return;
	if (!figures->server_known) {
		fprintf(to, "  server     its process is not there to be read\n");
		return;
	}
	fprintf(to, "  server     %.2f µs of CPU a %s · %.1f %% of a core", figures->cpu_us,
		plan->churn ? "round" : "message", figures->server_share * 100);
	if (figures->memory_known)
		fprintf(to, " · %.0f bytes a client (%.0f at the end)", figures->client_bytes,
			figures->client_bytes_end);
	fputc('\n', to);
}

void report_write(FILE *to, const struct load_plan *plan, const struct load_result *result)
{
	struct figures figures = figure(plan, result);

	write_plan(to, plan, result);
	if (result->measured && plan->churn)
		fprintf(to, "  rounds     %.0f in %.2f s: %.0f/s\n", figures.cycles,
			figures.seconds, figures.cycles_per_s);
	else if (result->measured)
		fprintf(to, "  messages   %.0f in %.2f s: %.0f/s\n", figures.messages,
			figures.seconds, figures.messages_per_s);
	if (!plan->churn)
		fprintf(to, "  connects   %" PRIu64 ": %.0f/s\n", result->tally.connects,
			figures.connects_per_s);
	write_latency(to, "latency", &result->tally.latency);
	write_latency(to, "connecting", &result->tally.connecting);
	write_latency(to, "a round", &result->tally.cycle);
	if (result->measured) {
		fprintf(to, "  load       %.1f %% of a core went into this tool%s\n",
			figures.load_share * 100,
			figures.load_share > 0.97 * plan->threads && plan->rate <= 0
				? ": it may be what was measured"
				: "");
	}
	write_server(to, plan, &figures);
	write_faults(to, &result->tally);
}

static void json_text(FILE *to, const char *text)
{
	fputc('"', to);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(to, "\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			fprintf(to, "\\u%04x", (unsigned char)*text);
		else
			fputc(*text, to);
	}
	fputc('"', to);
}

static void json_latency(FILE *to, const char *key, const struct histogram *histogram)
{
	if (histogram->count == 0) {
		fprintf(to, ",\n  \"%s\": null", key);
		return;
	}
	fprintf(to, ",\n  \"%s\": {\"count\": %" PRIu64 ", \"min\": %.3f, \"mean\": %.3f", key,
		histogram->count, (double)histogram->min / 1e3,
		(double)histogram_mean(histogram) / 1e3);
	for (unsigned i = 0; i < QUANTILES; i++) {
		fprintf(to, ", \"%s\": %.3f", quantiles[i].key,
			(double)histogram_quantile(histogram, quantiles[i].ppm) / 1e3);
	}
	fprintf(to, ", \"max\": %.3f}", (double)histogram->max / 1e3);
}

static void json_server(FILE *to, const struct figures *figures)
{
	if (!figures->server_known) {
		fprintf(to, ",\n  \"server\": null");
		return;
	}
	fprintf(to, ",\n  \"server\": {\"cpu_us\": %.4f, \"cpu_share\": %.6f", figures->cpu_us,
		figures->server_share);
	if (figures->memory_known)
		fprintf(to, ", \"bytes_per_client\": %.1f, \"bytes_per_client_end\": %.1f",
			figures->client_bytes, figures->client_bytes_end);
	fputc('}', to);
}

static void json_faults(FILE *to, const struct tally *tally)
{
	fprintf(to, ",\n  \"errors\": {");
	for (unsigned i = 0; i < LOAD_FAULTS; i++) {
		fprintf(to, "%s\"%s\": %" PRIu64, i > 0 ? ", " : "",
			tally_fault_key((enum load_fault)i), tally->faults[i]);
	}
	fputc('}', to);
}

void report_write_json(FILE *to, const struct load_plan *plan, const struct load_result *result)
{
	struct figures figures = figure(plan, result);

	fprintf(to, "{\n  \"target\": ");
	json_text(to, plan->target_text);
	fprintf(to, ",\n  \"mode\": \"%s\",\n  \"clients\": %" PRIu32 ",\n  \"threads\": %u",
		mode(plan), plan->clients, plan->threads);
	fprintf(to, ",\n  \"pipeline\": %" PRIu32 ",\n  \"rate\": %.6g", plan->pipeline,
		plan->rate);
	fprintf(to, ",\n  \"ok\": %s,\n  \"interrupted\": %s",
		report_is_good(plan, result) ? "true" : "false",
		result->interrupted ? "true" : "false");
	fprintf(to, ",\n  \"seconds\": %.6f,\n  \"messages\": %.0f,\n  \"messages_per_s\": %.1f",
		figures.seconds, figures.messages, figures.messages_per_s);
	fprintf(to, ",\n  \"rounds\": %.0f,\n  \"rounds_per_s\": %.1f", figures.cycles,
		figures.cycles_per_s);
	fprintf(to, ",\n  \"connects\": %" PRIu64 ",\n  \"connects_per_s\": %.1f",
		result->tally.connects, figures.connects_per_s);
	fprintf(to,
		",\n  \"sent_in_all\": %" PRIu64 ",\n  \"replies_in_all\": %" PRIu64
		",\n  \"not_sent\": %" PRIu64,
		result->tally.sent, result->tally.replies, result->tally.skipped);
	json_latency(to, "latency_us", &result->tally.latency);
	json_latency(to, "connecting_us", &result->tally.connecting);
	json_latency(to, "round_us", &result->tally.cycle);
	fprintf(to, ",\n  \"load_share\": %.4f", figures.load_share);
	json_server(to, &figures);
	json_faults(to, &result->tally);
	fprintf(to, "\n}\n");
}

void report_progress(const struct load_plan *plan, const struct load_progress *progress)
{
	if (progress == NULL) {
		fprintf(stderr, "\r\033[K");
		return;
	}
	fprintf(stderr, "\r\033[K%" PRIu64 " of %" PRIu32 " clients", progress->live,
		plan->clients);
	if (progress->left_ns == UINT64_MAX)
		fprintf(stderr, " connected");
	else if (plan->churn)
		fprintf(stderr, " · %" PRIu64 " rounds/s · %.0f s left", progress->cycles_per_s,
			(double)progress->left_ns / NS_PER_S);
	else
		fprintf(stderr, " · %" PRIu64 " messages/s · %.0f s left", progress->replies_per_s,
			(double)progress->left_ns / NS_PER_S);
	if (progress->faults > 0)
		fprintf(stderr, " · %" PRIu64 " errors", progress->faults);
	fflush(stderr);
}
