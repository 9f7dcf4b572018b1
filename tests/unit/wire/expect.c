/*
 * The specification, read as slowly and plainly as can be: one byte at a time, everything kept, everything written out.
 * Nothing of wire/ is called here, so that no mistake of its is repeated.
 */

#include "transcript.h"

#include <stdlib.h>
#include <string.h>

struct expecting {
	struct transcript *transcript;
	enum framing framing;
	size_t longest;
	struct bytes line;
	struct bytes heard;
	bool over;
};

static void say(struct expecting *expecting, const char *text)
{
	bytes_add(&expecting->transcript->said, text, strlen(text));
	if (expecting->framing != FRAMING_RAW)
		bytes_add(&expecting->transcript->said, "\n", 1);
}

static bool equals(const char *bytes, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(bytes, text, len) == 0;
}

static bool begins(const char *bytes, size_t len, const char *text)
{
	return len >= strlen(text) && memcmp(bytes, text, strlen(text)) == 0;
}

static void message(struct expecting *expecting, const char *text, size_t len, bool at_end)
{
	enum heard what = HEARD_MESSAGE;

	if (equals(text, len, "stop"))
		what = HEARD_STOP;
	if (equals(text, len, "id") || begins(text, len, "id ") || begins(text, len, "id\t"))
		what = HEARD_ID;
	transcript_tell(expecting->transcript, what, at_end, text, len, len);
	expecting->transcript->messages++;
	say(expecting, what == HEARD_STOP ? "stop" : "keep alive");
	expecting->over = what == HEARD_STOP;
}

static void too_long(struct expecting *expecting)
{
	transcript_tell(expecting->transcript, HEARD_TOO_LONG, false, "", 0, 0);
	say(expecting, "error message too long");
	expecting->over = true;
}

static size_t without_cr(const struct bytes *line)
{
	return line->len > 0 && line->bytes[line->len - 1] == '\r' ? line->len - 1 : line->len;
}

static void line_byte(struct expecting *expecting, char byte)
{
	struct bytes *line = &expecting->line;

	if (byte == '\n') {
		message(expecting, line->bytes, without_cr(line), false);
		line->len = 0;
		return;
	}
	bytes_add(line, &byte, 1);
	if (without_cr(line) > expecting->longest)
		too_long(expecting);
}

static size_t trimmed(const char *bytes, size_t len)
{
	while (len > 0 &&
	       (bytes[len - 1] == '\r' || bytes[len - 1] == '\n' || bytes[len - 1] == '\0'))
		len--;
	return len;
}

static void receive(struct expecting *expecting, const char *bytes, size_t len)
{
	if (len == 0 || expecting->over)
		return;
	if (expecting->framing == FRAMING_AUTO) {
		expecting->framing = FRAMING_RAW;
		for (size_t i = 0; i < len; i++)
			if (bytes[i] == '\n')
				expecting->framing = FRAMING_LINE;
	}
	if (expecting->framing == FRAMING_RAW && len > expecting->longest) {
		too_long(expecting);
	} else if (expecting->framing == FRAMING_RAW) {
		bytes_add(&expecting->heard, bytes, len);
		message(expecting, bytes, trimmed(bytes, len), false);
	} else {
		for (size_t i = 0; i < len && !expecting->over; i++) {
			bytes_add(&expecting->heard, &bytes[i], 1);
			line_byte(expecting, bytes[i]);
		}
	}
}

static bool ends_with_stop(const struct bytes *heard)
{
	size_t len = trimmed(heard->bytes, heard->len);

	return len >= 4 && memcmp(heard->bytes + len - 4, "stop", 4) == 0;
}

static bool spells_stop(const struct expecting *expecting)
{
	const struct transcript *transcript = expecting->transcript;
	enum heard last = HEARD_ALL;

	if (transcript->count > 0)
		last = transcript->told[transcript->count - 1].what;
	if (last == HEARD_TOO_LONG || last == HEARD_STOP)
		return last == HEARD_STOP;
	if (expecting->framing == FRAMING_RAW)
		return ends_with_stop(&expecting->heard);
	return equals(expecting->line.bytes, without_cr(&expecting->line), "stop");
}

void transcript_expect(struct transcript *transcript, const struct script *script)
{
	struct expecting expecting = {.framing = script->framing, .longest = script->longest};
	size_t at = 0;

	*transcript = (struct transcript){0};
	expecting.transcript = transcript;
	/* So that no text is at NULL. */
	bytes_add(&expecting.line, "", 1);
	expecting.line.len = 0;
	for (size_t i = 0; i < script->count; i++) {
		receive(&expecting, script->bytes + at, script->pieces[i]);
		at += script->pieces[i];
	}
	transcript->spells_stop = spells_stop(&expecting);
	if (script->ends && !expecting.over && expecting.line.len > 0)
		message(&expecting, expecting.line.bytes, without_cr(&expecting.line), true);
	free(expecting.line.bytes);
	free(expecting.heard.bytes);
}
