/* Parts a server's text. Knows what the protocol's own words look like, not what they lead to. */

#include "client/splitter.h"

#include <assert.h>
#include <string.h>

#define KEEP_ALIVE "keep alive"
#define STOP "stop"
#define RETRY "retry "
#define ERROR "error"

/* Longer than anyone waits: a number of seconds beyond it is taken as this. */
#define RETRY_MAX (366 * 24 * 3600)

void splitter_init(struct splitter *splitter, enum framing framing)
{
	assert(framing == FRAMING_LINE || framing == FRAMING_RAW);
	splitter->framing = framing;
	splitter->quiet = false;
	splitter->ended = false;
	splitter->continued = false;
	splitter->begin = 0;
	splitter->end = 0;
}

size_t splitter_feed(struct splitter *splitter, const char *bytes, size_t len)
{
	size_t waiting = splitter_waiting(splitter);

	if (splitter->begin > 0) {
		memmove(splitter->bytes, splitter->bytes + splitter->begin, waiting);
		splitter->begin = 0;
		splitter->end = waiting;
	}
	if (len > SPLITTER_BYTES - waiting)
		len = SPLITTER_BYTES - waiting;
	memcpy(splitter->bytes + splitter->end, bytes, len);
	splitter->end += len;
	splitter->quiet = false;
	return len;
}

void splitter_quiet(struct splitter *splitter)
{
	splitter->quiet = true;
}

void splitter_end(struct splitter *splitter)
{
	splitter->ended = true;
}

static bool equals(const char *text, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(text, word, len) == 0;
}

static bool begins(const char *text, size_t len, const char *word)
{
	return len >= strlen(word) && memcmp(text, word, strlen(word)) == 0;
}

/* Whether more bytes could still make it begin with the word. */
static bool may_become(const char *text, size_t len, const char *word)
{
	return len < strlen(word) && memcmp(text, word, len) == 0;
}

/* "retry " and digits, nothing else. */
static bool read_retry(struct saying *saying)
{
	size_t at = strlen(RETRY);
	uint32_t seconds = 0;

	if (!begins(saying->text, saying->len, RETRY) || saying->len == at)
		return false;
	for (; at < saying->len; at++) {
		char digit = saying->text[at];

		if (digit < '0' || digit > '9')
			return false;
		seconds = seconds * 10 + (uint32_t)(digit - '0');
		if (seconds > RETRY_MAX)
			seconds = RETRY_MAX;
	}
	saying->seconds = seconds;
	return true;
}

static bool is_error(const char *text, size_t len)
{
	return equals(text, len, ERROR) || begins(text, len, ERROR " ");
}

static void classify(struct saying *saying)
{
	if (equals(saying->text, saying->len, KEEP_ALIVE))
		saying->what = SAID_KEEP_ALIVE;
	else if (equals(saying->text, saying->len, STOP))
		saying->what = SAID_STOP;
	else if (read_retry(saying))
		saying->what = SAID_RETRY;
	else if (is_error(saying->text, saying->len))
		saying->what = SAID_ERROR;
	else
		saying->what = SAID_TEXT;
}

/* Takes `used` bytes out, of which the first `len` are the text. */
static bool take(struct splitter *splitter, struct saying *saying, size_t len, size_t used,
		 bool more)
{
	*saying = (struct saying){
		.text = splitter->bytes + splitter->begin, .len = len, .more = more};
	splitter->begin += used;
	if (more || splitter->continued)
		saying->what = SAID_TEXT;
	else
		classify(saying);
	splitter->continued = more;
	return true;
}

static bool take_line(struct splitter *splitter, struct saying *saying)
{
	const char *text = splitter->bytes + splitter->begin;
	size_t waiting = splitter_waiting(splitter);
	const char *lf = memchr(text, '\n', waiting);
	size_t len = lf ? (size_t)(lf - text) : waiting;

	if (!lf && waiting == SPLITTER_BYTES)
		return take(splitter, saying, waiting, waiting, true);
	if (!lf && !(splitter->ended && waiting > 0))
		return false;
	return take(splitter, saying, len > 0 && text[len - 1] == '\r' ? len - 1 : len,
		    len + (lf != NULL), false);
}

static bool is_filler(char byte)
{
	return byte == '\r' || byte == '\n' || byte == '\0';
}

/* Servers that send their strings with the NUL, or with a line end after all, mean nothing by it. */
static void skip_filler(struct splitter *splitter)
{
	while (splitter_waiting(splitter) > 0 && is_filler(splitter->bytes[splitter->begin]))
		splitter->begin++;
}

static size_t without_filler(const char *text, size_t len)
{
	while (len > 0 && is_filler(text[len - 1]))
		len--;
	return len;
}

/* At its end of stream a server whose last bytes are `stop` has said it, whatever it was glued to. */
static size_t before_last_stop(const char *text, size_t len)
{
	size_t end = without_filler(text, len);

	if (end > strlen(STOP) && memcmp(text + end - strlen(STOP), STOP, strlen(STOP)) == 0 &&
	    !is_error(text, end))
		return end - strlen(STOP);
	return len;
}

/* The length of a `retry` with its number that something is glued to; 0 where there is none. */
static size_t before_glued(const char *text, size_t len)
{
	size_t end = strlen(RETRY);

	if (!begins(text, len, RETRY))
		return 0;
	while (end < len && text[end] >= '0' && text[end] <= '9')
		end++;
	return end > strlen(RETRY) && end < len ? end : 0;
}

/* The beginning of a word of the protocol waits for the rest of it as long as the server is there. */
static bool is_beginning(const char *text, size_t len)
{
	return may_become(text, len, KEEP_ALIVE) || may_become(text, len, STOP) ||
	       may_become(text, len, RETRY) || may_become(text, len, ERROR);
}

static bool take_raw(struct splitter *splitter, struct saying *saying)
{
	const char *text, *reply;
	size_t waiting, len;

	skip_filler(splitter);
	text = splitter->bytes + splitter->begin;
	waiting = splitter_waiting(splitter);
	reply = memmem(text, waiting, KEEP_ALIVE, strlen(KEEP_ALIVE));
	if (waiting == 0)
		return false;
	if (reply == text)
		return take(splitter, saying, strlen(KEEP_ALIVE), strlen(KEEP_ALIVE), false);
	len = before_glued(text, waiting);
	if (len > 0)
		return take(splitter, saying, len, len, false);
	if (reply)
		len = (size_t)(reply - text);
	else if (splitter->ended)
		len = before_last_stop(text, waiting);
	else if (splitter->quiet && !is_beginning(text, waiting))
		len = waiting;
	else if (waiting == SPLITTER_BYTES)
		return take(splitter, saying, waiting, waiting, true);
	else
		return false;
	return take(splitter, saying, without_filler(text, len), len, false);
}

bool splitter_take(struct splitter *splitter, struct saying *saying)
{
	return splitter->framing == FRAMING_LINE ? take_line(splitter, saying)
						 : take_raw(splitter, saying);
}

bool splitter_lacks_line_end(const struct splitter *splitter)
{
	return splitter->framing == FRAMING_LINE &&
	       begins(splitter->bytes + splitter->begin, splitter_waiting(splitter), KEEP_ALIVE);
}
