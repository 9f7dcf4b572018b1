/* Counts, and what the faults are called. */

#include "load/tally.h"

#include <errno.h>
#include <string.h>

static const struct {
	const char *key, *text;
} names[LOAD_FAULTS] = {
	[LOAD_WRONG] = {"wrong", "wrong reply"},
	[LOAD_MISSING] = {"missing", "missing reply"},
	[LOAD_SURPLUS] = {"surplus", "surplus reply"},
	[LOAD_HELLO] = {"hello", "hello not answered as expected"},
	[LOAD_CLOSED] = {"closed", "closed by the server"},
	[LOAD_RESET] = {"reset", "reset by the server"},
	[LOAD_REFUSED] = {"refused", "connection refused"},
	[LOAD_TIMEOUT] = {"timeout", "connecting took too long"},
	[LOAD_UNREACHABLE] = {"unreachable", "server unreachable"},
	[LOAD_PORTS] = {"ports", "no port left to connect from"},
	[LOAD_DESCRIPTORS] = {"descriptors", "no descriptor left"},
	[LOAD_OTHER] = {"other", "other error"},
};

void tally_init(struct tally *tally)
{
	memset(tally, 0, sizeof(*tally));
	histogram_init(&tally->latency);
	histogram_init(&tally->connecting);
	histogram_init(&tally->cycle);
}

void tally_merge(struct tally *tally, const struct tally *other)
{
	tally->sent += other->sent;
	tally->replies += other->replies;
	tally->lost += other->lost;
	tally->skipped += other->skipped;
	tally->connects += other->connects;
	tally->cycles += other->cycles;
	for (unsigned i = 0; i < LOAD_FAULTS; i++)
		tally->faults[i] += other->faults[i];
	if (other->other_error != 0)
		tally->other_error = other->other_error;
	histogram_merge(&tally->latency, &other->latency);
	histogram_merge(&tally->connecting, &other->connecting);
	histogram_merge(&tally->cycle, &other->cycle);
}

uint64_t tally_faults(const struct tally *tally)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < LOAD_FAULTS; i++)
		sum += tally->faults[i];
	return sum;
}

enum load_fault tally_fault_of(int error)
{
	switch (error) {
	case ECONNRESET:
	case EPIPE:
		return LOAD_RESET;
	case ECONNREFUSED:
		return LOAD_REFUSED;
	case ETIMEDOUT:
		return LOAD_TIMEOUT;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ENETDOWN:
	case EHOSTDOWN:
		return LOAD_UNREACHABLE;
	case EADDRNOTAVAIL:
	case EADDRINUSE:
		return LOAD_PORTS;
	case EMFILE:
	case ENFILE:
		return LOAD_DESCRIPTORS;
	default:
		return LOAD_OTHER;
	}
}

const char *tally_fault_text(enum load_fault fault)
{
	return names[fault].text;
}

const char *tally_fault_key(enum load_fault fault)
{
	return names[fault].key;
}
