/* Standard input without a prompt: its lines, or its words in raw, are messages. */

#include "cli/connect_pipe.h"

#include <errno.h>
#include <unistd.h>

#include "client/words.h"

static void read_input(struct words *words)
{
	size_t room;
	char *to = words_room(words, &room);
	ssize_t len = read(STDIN_FILENO, to, room);

	if (len > 0)
		words_filled(words, (size_t)len);
	else if (len == 0 || (errno != EINTR && errno != EAGAIN))
		words_end(words);
}

/* Says all that is there and finds room. */
static enum word say_words(struct connect_loop *loop, struct words *words)
{
	while (connect_loop_has_room(loop)) {
		const char *text;
		size_t len;
		enum word word = words_take(words, &text, &len);

		if (word != WORD_TAKEN)
			return word;
		(void)connect_loop_say(loop, text, len);
	}
	return WORD_TAKEN;
}

/* What cannot be said as it stands is not cut: what was said before is still answered, and the input is to blame. */
static void refuse(struct connect_loop *loop)
{
	connect_show_error(&loop->show, loop->options->framing == FRAMING_LINE
						? "standard input has a line of more than 1048576 "
						  "bytes; nothing from there on was said"
						: "standard input has a word of more than 4096 "
						  "bytes, which a server without lines takes for "
						  "two messages; nothing from there on was said");
	client_stop(&loop->client);
}

int connect_pipe_run(struct connect_loop *loop)
{
	bool lines = loop->options->framing == FRAMING_LINE;
	bool open = true, refused = false;
	struct words words;
	int error = words_init(&words, loop->options->framing,
			       lines ? CLIENT_LINE_MAX : CLIENT_RAW_MAX);

	while (error == 0 && loop->state != CONNECT_OVER) {
		enum word word = open ? say_words(loop, &words) : WORD_TAKEN;

		if (word == WORD_TOO_LONG) {
			refuse(loop);
			refused = true;
			open = false;
		} else if (word == WORD_NONE && words.ended) {
			connect_loop_end_input(loop);
			open = false;
		}
		if (connect_loop_turn(loop, open && word == WORD_NONE))
			read_input(&words);
	}
	if (refused)
		loop->status = 2;
	words_fini(&words);
	return error;
}
