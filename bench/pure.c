/* Drives the core. Nothing here is measured for its own sake: it is as thin as a worker is. */

#include "pure.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "wire/heads.h"

static void *reserve(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED) {
		perror("memory");
		exit(1);
	}
	return memory;
}

void pure_open(struct pure *pure, uint32_t count)
{
	const struct directory_config config = {
		.rhythm = {.every_ms = PURE_EVERY_MS,
			   .grace_ms = PURE_EVERY_MS / 2,
			   .every_min_ms = 100,
			   .every_max_ms = 86400000,
			   .grace_max_ms = 86400000},
		.workers = 1,
		.known_max = 1000,
		.rejoin_ms = 5000,
		.forget_ms = 86400000,
		.suspect_share = 30,
		.suspect_min = 20,
		.suspect_hold_ms = 60000,
		.flap_changes = 5,
		.flap_window_ms = 600000,
	};

	*pure = (struct pure){.count = count, .now = {NS_PER_S}};
	pure->places_size = count * sizeof(struct place);
	pure->heads_size = heads_bytes(count);
	pure->directory_size = directory_bytes(&config);
	pure->places = reserve(pure->places_size);
	heads_init(&pure->heads, reserve(pure->heads_size), count);
	pure->directory = directory_init(reserve(pure->directory_size), &config, pure->now);
	watch_init(&pure->watch, pure->directory, 0, &pure->places[0].session, sizeof(struct place),
		   count, 30000, pure->now);
}

void pure_close(struct pure *pure)
{
	munmap(pure->places, pure->places_size);
	munmap(pure->heads.memory, pure->heads_size);
	munmap(pure->directory, pure->directory_size);
}

static void take_notes(struct pure *pure)
{
	while (directory_take_note(pure->directory) != NULL)
		pure->notes++;
}

void pure_woke(struct pure *pure, uint64_t passed_ns)
{
	pure->now = mono_after(pure->now, passed_ns);
	watch_woke(&pure->watch, pure->now);
}

uint32_t pure_turned(struct pure *pure, uint64_t next_ns)
{
	uint32_t slot, count = 0;
	enum due due;

	while ((due = watch_due(&pure->watch, &slot)) != DUE_NOTHING) {
		/* Nobody here is ever silent for that long: it would be a fault of the program. */
		assert(due == DUE_LATE);
		watch_late(&pure->watch, slot);
		take_notes(pure);
		count++;
	}
	while (directory_turn(pure->directory, 0, pure->now, pure->watch.awake))
		take_notes(pure);
	take_notes(pure);
	watch_promise(&pure->watch, mono_after(pure->now, next_ns));
	return count;
}

void pure_accept(struct pure *pure, uint32_t slot)
{
	const struct address peer = {.family = ADDRESS_IPV4};

	conversation_init(&pure->places[slot].conversation, FRAMING_AUTO);
	watch_accept(&pure->watch, slot, 1, 0, &peer);
	take_notes(pure);
}

void pure_end(struct pure *pure, uint32_t slot)
{
	conversation_fini(&pure->places[slot].conversation, &pure->heads);
	watch_end(&pure->watch, slot, REASON_STOPPED);
	take_notes(pure);
}

void pure_receive(struct pure *pure, uint32_t slot, const char *bytes, size_t len)
{
	struct place *place = &pure->places[slot];
	struct slice slices[WIRE_SLICES];

	while (len > 0) {
		struct hearing hearing =
			conversation_hear(&place->conversation, &pure->heads, bytes, len,
					  WIRE_MESSAGE_MAX_DEFAULT, false);

		if (watch_heard(&pure->watch, &place->session, hearing.messages, hearing.used)) {
			watch_back(&pure->watch, slot);
			take_notes(pure);
		}
		bytes += hearing.used;
		len -= hearing.used;
	}
	while (conversation_owes(&place->conversation) > 0) {
		size_t count = conversation_output(&place->conversation, slices), sent = 0;

		for (size_t i = 0; i < count; i++)
			sent += slices[i].len;
		conversation_sent(&place->conversation, sent);
		pure->bytes += sent;
	}
}
