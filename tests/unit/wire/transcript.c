/* Plays a script to a conversation as a server would, writes down what it tells and says, and compares. */

#include "transcript.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void bytes_add(struct bytes *bytes, const char *more, size_t len)
{
	if (bytes->len + len > bytes->size) {
		bytes->size = 2 * (bytes->len + len);
		bytes->bytes = realloc(bytes->bytes, bytes->size);
		assert(bytes->bytes != NULL);
	}
	if (len > 0)
		memcpy(bytes->bytes + bytes->len, more, len);
	bytes->len += len;
}

void transcript_tell(struct transcript *transcript, enum heard what, bool at_end, const char *text,
		     size_t kept, size_t len)
{
	if (transcript->count == transcript->size) {
		transcript->size = 2 * transcript->size + 16;
		transcript->told =
			realloc(transcript->told, transcript->size * sizeof(*transcript->told));
		assert(transcript->told != NULL);
	}
	transcript->told[transcript->count++] = (struct told){.what = what,
							      .at_end = at_end,
							      .len = len,
							      .kept = kept,
							      .text = transcript->texts.len};
	bytes_add(&transcript->texts, text, kept);
}

void transcript_fini(struct transcript *transcript)
{
	free(transcript->told);
	free(transcript->texts.bytes);
	free(transcript->said.bytes);
}

/*
 * Playing
 */

struct play {
	struct transcript *transcript;
	const struct script *script;
	struct conversation conversation;
	struct heads heads;
	bool each;
};

static void promise(struct play *play, bool kept, const char *fault)
{
	if (!kept && play->transcript->fault == NULL)
		play->transcript->fault = fault;
}

static void note(struct play *play, const struct hearing *hearing, bool at_end)
{
	bool has_text = hearing->what != HEARD_ALL && hearing->what != HEARD_TOO_LONG;

	promise(play, !has_text || hearing->messages > 0, "a message that was not counted");
	promise(play, has_text || hearing->text == NULL, "a text of nothing");
	promise(play, hearing->kept <= hearing->len, "more kept than there was");
	promise(play, hearing->kept == hearing->len || hearing->kept == WIRE_HEAD_BYTES,
		"less kept than can be");
	play->transcript->messages += hearing->messages;
	if (has_text)
		transcript_tell(play->transcript, hearing->what, at_end, hearing->text,
				hearing->kept, hearing->len);
	else if (hearing->what != HEARD_ALL)
		transcript_tell(play->transcript, hearing->what, at_end, "", 0, 0);
}

/* The input stands in memory of its very size, so that reading beyond it is seen by a sanitizer. */
static void hear(struct play *play, const char *bytes, size_t len)
{
	char *input = malloc(len > 0 ? len : 1);
	size_t used = 0;
	struct hearing hearing;

	assert(input != NULL);
	if (len > 0)
		memcpy(input, bytes, len);
	do {
		hearing = conversation_hear(&play->conversation, &play->heads, input + used,
					    len - used, play->script->longest, play->each);
		promise(play, hearing.used <= len - used, "more used than there was");
		promise(play, hearing.what != HEARD_ALL || hearing.used == len - used,
			"all heard, but not all used");
		promise(play, hearing.what != HEARD_MESSAGE || play->each,
			"a message that was not asked for");
		promise(play, hearing.what == HEARD_ALL || hearing.used > 0,
			"something of nothing");
		note(play, &hearing, false);
		used += hearing.used;
	} while (play->transcript->fault == NULL && hearing.what != HEARD_ALL &&
		 !conversation_is_over(&play->conversation));
	promise(play, play->heads.taken <= 1, "more than one head");
	promise(play, play->heads.taken == (play->conversation.part > 0),
		"a head without a line, or without one");
	free(input);
}

/* Takes at most `most` bytes of what is to be sent. */
static size_t take(struct play *play, size_t most)
{
	struct slice slices[WIRE_SLICES];
	size_t count = conversation_output(&play->conversation, slices), offered = 0, taken = 0;
	size_t owes = conversation_owes(&play->conversation);

	for (size_t i = 0; i < count; i++) {
		size_t len = slices[i].len < most - taken ? slices[i].len : most - taken;

		promise(play, slices[i].len > 0, "an empty slice");
		bytes_add(&play->transcript->said, slices[i].bytes, len);
		offered += slices[i].len;
		taken += len;
	}
	promise(play, offered == owes || (offered < owes && count == WIRE_SLICES),
		"not all output is given out");
	conversation_sent(&play->conversation, taken);
	promise(play, conversation_owes(&play->conversation) == owes - taken,
		"sent, but not taken off");
	return taken;
}

static void take_some(struct play *play)
{
	size_t most = play->script->take;
	size_t taken = take(play, most);
	size_t back = play->script->give_back < taken ? play->script->give_back : taken;

	conversation_unsent(&play->conversation, back);
	play->transcript->said.len -= back;
}

void transcript_play(struct transcript *transcript, const struct script *script, bool each)
{
	static _Alignas(uint32_t) char memory[2 * (WIRE_HEAD_BYTES + sizeof(uint32_t))];
	struct play play = {.transcript = transcript, .script = script, .each = each};
	size_t at = 0;

	*transcript = (struct transcript){0};
	assert(heads_bytes(2) == sizeof(memory));
	heads_init(&play.heads, memory, 2);
	conversation_init(&play.conversation, script->framing);
	for (size_t i = 0; i < script->count; i++) {
		hear(&play, script->bytes + at, script->pieces[i]);
		at += script->pieces[i];
		take_some(&play);
	}
	transcript->spells_stop = conversation_spells_stop(&play.conversation, &play.heads);
	if (script->ends) {
		struct hearing hearing = conversation_end(&play.conversation, &play.heads);

		note(&play, &hearing, true);
		promise(&play, conversation_is_over(&play.conversation), "ended, but not over");
		promise(&play,
			transcript->spells_stop ==
				conversation_spells_stop(&play.conversation, &play.heads),
			"the end changes what was spelled");
	}
	while (take(&play, SIZE_MAX) > 0)
		;
	promise(&play, conversation_owes(&play.conversation) == 0, "owed, but not given out");
	conversation_fini(&play.conversation, &play.heads);
	promise(&play, play.heads.taken == 0, "a head that was not given back");
}

/*
 * Comparing
 */

static const char *told_fault(const struct transcript *expected, const struct told *e,
			      const struct transcript *played, const struct told *p)
{
	if (e->what != p->what)
		return "something else was heard";
	if (e->at_end != p->at_end)
		return "heard too early, or too late";
	if (e->len != p->len)
		return "a message of another length";
	if (p->kept > 0 &&
	    memcmp(expected->texts.bytes + e->text, played->texts.bytes + p->text, p->kept) != 0)
		return "a message of another text";
	return NULL;
}

const char *transcript_fault(const struct transcript *expected, const struct transcript *played,
			     bool each)
{
	size_t at = 0;

	if (played->fault != NULL)
		return played->fault;
	for (size_t i = 0; i < expected->count; i++) {
		const struct told *e = &expected->told[i];

		if (!each && e->what == HEARD_MESSAGE && !e->at_end)
			continue;
		if (at == played->count)
			return "something was not heard";
		const char *fault = told_fault(expected, e, played, &played->told[at++]);

		if (fault != NULL)
			return fault;
	}
	if (at != played->count)
		return "something was heard that is not there";
	if (expected->messages != played->messages)
		return "another number of messages";
	if (expected->said.len != played->said.len)
		return "another length of output";
	if (expected->said.len > 0 &&
	    memcmp(expected->said.bytes, played->said.bytes, expected->said.len) != 0)
		return "another output";
	if (expected->spells_stop != played->spells_stop)
		return "stop is spelled, or is not";
	return NULL;
}

const char *transcript_check(const struct script *script)
{
	struct transcript expected, played;
	const char *fault = NULL;

	transcript_expect(&expected, script);
	for (int each = 0; each < 2 && fault == NULL; each++) {
		transcript_play(&played, script, each);
		fault = transcript_fault(&expected, &played, each);
		transcript_fini(&played);
	}
	transcript_fini(&expected);
	return fault;
}
