/*
 * Bytes in, messages out, replies owed. Nearly all that a server hears is lines that mean nothing but "I am here":
 * those are counted eight bytes at a time and never looked at one by one. A line that begins with the first letter of
 * `stop` or `id`, one that is not complete, and every line where the caller wants each, takes the slower way.
 */

#include "wire/conversation.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(struct conversation) <= 24, "what every client costs");

/* The length of a line must fit in `part`, with a CR that is not counted. */
#define LONGEST_MAX (UINT32_MAX - 1)

static const char stop_text[4] = {'s', 't', 'o', 'p'};
#define STOP_LEN sizeof(stop_text)

/*
 * Replies
 *
 * All replies are alike, so the block below is cut from any stream of them. What is owed says where in a reply the
 * stream stands: 4 bytes owed are the last 4 bytes of a reply.
 */

#define REPLY "keep alive"
#define REPLY_LEN (sizeof(REPLY) - 1)
#define REPLIES 512
#define TIMES8(text) text text text text text text text text
#define TIMES512(text) TIMES8(TIMES8(TIMES8(text)))

static const char block_line[] = TIMES512(REPLY "\n");
static const char block_raw[] = TIMES512(REPLY);

static_assert(sizeof(block_line) - 1 == REPLIES * (REPLY_LEN + 1), "whole replies");
static_assert(sizeof(block_raw) - 1 == REPLIES * REPLY_LEN, "whole replies");

static bool has_lf(const struct conversation *conversation)
{
	return conversation->framing != FRAMING_RAW;
}

static size_t reply_len(const struct conversation *conversation)
{
	return REPLY_LEN + has_lf(conversation);
}

static void owe(struct conversation *conversation, size_t bytes)
{
	/* Whoever hears a client that owes this much has forgotten to stop reading from it. */
	assert(bytes <= UINT32_MAX - conversation->owed);
	conversation->owed += (uint32_t)bytes;
}

/*
 * Plain lines
 */

#define EVERY_BYTE UINT64_C(0x0101010101010101)
#define LOW_BITS (EVERY_BYTE * 0x7f)
#define FIRST_BYTE UINT64_C(0x80)

/* Eight bytes, the first one lowest: compilers make one load of it. */
static inline uint64_t word_at(const char *bytes)
{
	const unsigned char *byte = (const unsigned char *)bytes;

	return (uint64_t)byte[0] | (uint64_t)byte[1] << 8 | (uint64_t)byte[2] << 16 |
	       (uint64_t)byte[3] << 24 | (uint64_t)byte[4] << 32 | (uint64_t)byte[5] << 40 |
	       (uint64_t)byte[6] << 48 | (uint64_t)byte[7] << 56;
}

/* The top bit of each byte of the word that equals `byte`, and nothing else. */
static inline uint64_t equal_bytes(uint64_t word, unsigned char byte)
{
	uint64_t differs = word ^ EVERY_BYTE * byte;

	return ~(((differs & LOW_BITS) + LOW_BITS) | differs | LOW_BITS);
}

static inline size_t count_bytes(uint64_t top_bits)
{
	return (size_t)((top_bits >> 7) * EVERY_BYTE >> 56);
}

struct plain {
	size_t lines;
	size_t used;
};

/*
 * Counts whole lines from the beginning of one up to the first that needs a closer look: one that begins like `stop` or
 * `id`, or that does not end within the `len` bytes.
 */
static struct plain count_plain(const char *bytes, size_t len)
{
	struct plain plain = {0};
	uint64_t begins = FIRST_BYTE;

	while (plain.used < len) {
		char last[8] = {0};
		size_t left = len - plain.used;
		const char *from = bytes + plain.used;

		if (left < 8)
			from = memcpy(last, from, left);
		uint64_t word = word_at(from);
		uint64_t ends = equal_bytes(word, '\n');
		uint64_t closer =
			(ends << 8 | begins) & (equal_bytes(word, 's') | equal_bytes(word, 'i'));

		if (closer != 0) {
			int bit = __builtin_ctzll(closer);

			plain.lines += count_bytes(ends & ((UINT64_C(1) << bit) - 1));
			plain.used += (size_t)bit / 8;
			return plain;
		}
		plain.lines += count_bytes(ends);
		plain.used += left < 8 ? left : 8;
		begins = ends >> 56;
	}
	while (plain.used > 0 && bytes[plain.used - 1] != '\n')
		plain.used--;
	return plain;
}

/*
 * One message
 */

static bool is_stop(const char *text, size_t len)
{
	return len == STOP_LEN && memcmp(text, stop_text, STOP_LEN) == 0;
}

static bool is_id(const char *text, size_t len)
{
	return len >= 2 && text[0] == 'i' && text[1] == 'd' &&
	       (len == 2 || text[2] == ' ' || text[2] == '\t');
}

static void hear_message(struct conversation *conversation, struct hearing *hearing,
			 const char *text, size_t kept, size_t len)
{
	hearing->messages++;
	hearing->text = text;
	hearing->kept = kept;
	hearing->len = len;
	if (is_stop(text, len)) {
		hearing->what = HEARD_STOP;
		conversation->tail = STOP_LEN;
		conversation_finish(conversation, FINAL_STOP);
		return;
	}
	hearing->what = is_id(text, len) ? HEARD_ID : HEARD_MESSAGE;
	owe(conversation, reply_len(conversation));
}

static void hear_too_long(struct conversation *conversation, struct hearing *hearing, size_t len)
{
	*hearing = (struct hearing){
		.what = HEARD_TOO_LONG, .messages = hearing->messages, .used = len};
	conversation->tail = 0;
	conversation_finish(conversation, FINAL_TOO_LONG);
}

/*
 * Lines
 */

static void forget_part(struct conversation *conversation, struct heads *heads)
{
	if (conversation->head != HEADS_NONE)
		heads_give(heads, conversation->head);
	conversation->head = HEADS_NONE;
	conversation->part = 0;
	conversation->cr = 0;
}

static void keep_part(struct conversation *conversation, struct heads *heads, const char *bytes,
		      size_t len)
{
	if (len == 0)
		return;
	if (conversation->head == HEADS_NONE)
		conversation->head = heads_take(heads);
	if (conversation->part < WIRE_HEAD_BYTES) {
		size_t room = WIRE_HEAD_BYTES - conversation->part;

		memcpy(heads_at(heads, conversation->head) + conversation->part, bytes,
		       len < room ? len : room);
	}
	conversation->part += (uint32_t)len;
	conversation->cr = bytes[len - 1] == '\r';
}

/* The unfinished line has ended. Its text stays readable in the slot that it gives back. */
static void hear_part(struct conversation *conversation, struct heads *heads,
		      struct hearing *hearing)
{
	const char *text = heads_at(heads, conversation->head);
	size_t len = conversation->part - conversation->cr;

	forget_part(conversation, heads);
	hear_message(conversation, hearing, text, len < WIRE_HEAD_BYTES ? len : WIRE_HEAD_BYTES,
		     len);
}

/* Hears one line, or what is there of it. */
static void hear_line(struct conversation *conversation, struct heads *heads, const char *bytes,
		      size_t len, size_t longest, struct hearing *hearing)
{
	const char *begin = bytes + hearing->used;
	const char *end = memchr(begin, '\n', len - hearing->used);
	size_t more = end != NULL ? (size_t)(end - begin) : len - hearing->used;
	bool cr = more > 0 ? begin[more - 1] == '\r' : conversation->cr;
	size_t line_len = conversation->part + more - cr;

	if (line_len > longest) {
		forget_part(conversation, heads);
		hear_too_long(conversation, hearing, len);
		return;
	}
	hearing->used += more + (end != NULL);
	if (end != NULL && conversation->part == 0) {
		hear_message(conversation, hearing, begin, line_len, line_len);
		return;
	}
	keep_part(conversation, heads, begin, more);
	if (end != NULL)
		hear_part(conversation, heads, hearing);
}

static struct hearing hear_lines(struct conversation *conversation, struct heads *heads,
				 const char *bytes, size_t len, size_t longest, bool each)
{
	struct hearing hearing = {.what = HEARD_ALL};

	while (hearing.used < len) {
		if (!each && conversation->part == 0) {
			/* No line is too long that ends within as many bytes as one may have. */
			size_t left = len - hearing.used;
			struct plain plain =
				count_plain(bytes + hearing.used, left < longest ? left : longest);

			owe(conversation, plain.lines * reply_len(conversation));
			hearing.messages += (uint32_t)plain.lines;
			hearing.used += plain.used;
			if (hearing.used == len)
				break;
		}
		hear_line(conversation, heads, bytes, len, longest, &hearing);
		if (hearing.what != HEARD_ALL && (each || hearing.what != HEARD_MESSAGE))
			return hearing;
	}
	return (struct hearing){
		.what = HEARD_ALL, .messages = hearing.messages, .used = hearing.used};
}

/*
 * Raw
 */

static bool is_trimmed(char byte)
{
	return byte == '\r' || byte == '\n' || byte == '\0';
}

/* How much of "stop" the last bytes spell, once `byte` follows on as much as `tail` of it. */
static unsigned tail_after(unsigned tail, char byte)
{
	if (tail < STOP_LEN && byte == stop_text[tail])
		return tail + 1;
	return byte == stop_text[0] ? 1 : 0;
}

/* `text_len` bytes remain of a receive of `len`, once what is dropped from its end is. */
static unsigned tail_of(unsigned tail, const char *bytes, size_t text_len, size_t len)
{
	if (text_len >= STOP_LEN)
		tail = 0;
	for (size_t i = text_len < STOP_LEN ? 0 : text_len - STOP_LEN; i < text_len; i++)
		tail = tail_after(tail, bytes[i]);
	/* What is dropped may follow a whole `stop`, not stand within one. */
	return text_len < len && tail < STOP_LEN ? 0 : tail;
}

static struct hearing hear_raw(struct conversation *conversation, const char *bytes, size_t len,
			       size_t longest, bool each)
{
	struct hearing hearing = {.what = HEARD_ALL, .used = len};
	size_t text_len = len;

	if (len > longest) {
		hear_too_long(conversation, &hearing, len);
		return hearing;
	}
	while (text_len > 0 && is_trimmed(bytes[text_len - 1]))
		text_len--;
	conversation->tail = tail_of(conversation->tail, bytes, text_len, len) & 7;
	hear_message(conversation, &hearing, bytes, text_len, text_len);
	if (!each && hearing.what == HEARD_MESSAGE)
		return (struct hearing){.what = HEARD_ALL, .messages = 1, .used = len};
	return hearing;
}

/*
 * The conversation
 */

void conversation_init(struct conversation *conversation, enum framing framing)
{
	*conversation = (struct conversation){.head = HEADS_NONE, .framing = (uint8_t)framing};
}

void conversation_fini(struct conversation *conversation, struct heads *heads)
{
	forget_part(conversation, heads);
	conversation->over = 1;
}

struct hearing conversation_hear(struct conversation *conversation, struct heads *heads,
				 const char *bytes, size_t len, size_t longest, bool each)
{
	if (conversation->over || len == 0)
		return (struct hearing){.what = HEARD_ALL, .used = len};
	if (longest > LONGEST_MAX)
		longest = LONGEST_MAX;
	if (conversation->framing == FRAMING_AUTO)
		conversation->framing =
			memchr(bytes, '\n', len) != NULL ? FRAMING_LINE : FRAMING_RAW;
	if (conversation->framing == FRAMING_RAW)
		return hear_raw(conversation, bytes, len, longest, each);
	return hear_lines(conversation, heads, bytes, len, longest, each);
}

struct hearing conversation_end(struct conversation *conversation, struct heads *heads)
{
	struct hearing hearing = {.what = HEARD_ALL};

	if (!conversation->over && conversation->part > 0)
		hear_part(conversation, heads, &hearing);
	conversation->over = 1;
	return hearing;
}

bool conversation_spells_stop(const struct conversation *conversation, const struct heads *heads)
{
	if (conversation->part == 0)
		return conversation->tail == STOP_LEN;
	return is_stop(heads_at(heads, conversation->head), conversation->part - conversation->cr);
}

void conversation_finish(struct conversation *conversation, enum final final)
{
	if (conversation->final == FINAL_NONE)
		conversation->final = (uint8_t) final;
	conversation->over = 1;
}

size_t conversation_output(const struct conversation *conversation,
			   struct slice slices[WIRE_SLICES])
{
	const char *block = has_lf(conversation) ? block_line : block_raw;
	size_t block_len = reply_len(conversation) * REPLIES;
	size_t said = (reply_len(conversation) - conversation->owed % reply_len(conversation)) %
		      reply_len(conversation);
	size_t owed = conversation->owed;
	size_t count = 0;

	for (; owed > 0 && count < WIRE_SLICES; count++) {
		size_t len = owed < block_len - said ? owed : block_len - said;

		slices[count] = (struct slice){block + said, len};
		owed -= len;
		said = 0;
	}
	size_t final_left = conversation_owes(conversation) - conversation->owed;

	if (owed == 0 && final_left > 0 && count < WIRE_SLICES)
		slices[count++] = (struct slice){final_text((enum final)conversation->final) +
							 conversation->final_sent,
						 final_left};
	return count;
}

void conversation_sent(struct conversation *conversation, size_t bytes)
{
	assert(bytes <= conversation_owes(conversation));
	size_t replies = bytes < conversation->owed ? bytes : conversation->owed;

	conversation->owed -= (uint32_t)replies;
	conversation->final_sent = (uint8_t)(conversation->final_sent + (bytes - replies));
}

void conversation_unsent(struct conversation *conversation, size_t bytes)
{
	size_t final = bytes < conversation->final_sent ? bytes : conversation->final_sent;

	conversation->final_sent = (uint8_t)(conversation->final_sent - final);
	owe(conversation, bytes - final);
}
