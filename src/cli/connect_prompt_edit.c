/*
 * The prompt with line editing and history, by libedit. Whenever libedit wants the next key, the loop is turned until
 * there is one: so all its ways of reading (searches, quoted keys, vi) work as ever, and what the server says in the
 * meantime is shown above the line that is being typed.
 */

#include "cli/connect_prompt.h"

#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "cli/connect_signals.h"

#define PROMPT "> "
#define PROMPT_COLUMNS 2
#define HISTORY_LINES 1000

static struct {
	EditLine *edit; /* NULL while there is no prompt on the screen */
	struct connect_loop *loop;
	struct termios modes; /* as libedit has set them for this line */
	bool has_modes;
	bool is_dumb;	     /* the terminal can only print */
	mbstate_t character; /* of which some bytes have come */
	char keys[256];
	size_t key, key_count;
} prompt;

static char *prompt_text(EditLine *edit)
{
	static char text[] = PROMPT;

	(void)edit;
	return text;
}

static unsigned columns(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return 80;
	return size.ws_col;
}

/* On which row of the line that is being typed the cursor is, counting from 0. */
static unsigned cursor_row(void)
{
	const LineInfoW *line = el_wline(prompt.edit);
	unsigned at = PROMPT_COLUMNS;

	for (const wchar_t *character = line->buffer; character < line->cursor; character++) {
		int width = wcwidth(*character);

		/* libedit shows a control character as ^X. */
		at += width >= 0 ? (unsigned)width : 2;
	}
	return at / columns();
}

void connect_prompt_above(const char *line)
{
	if (!prompt.edit) {
		printf("%s\n", line);
		fflush(stdout);
		return;
	}
	if (prompt.is_dumb) {
		printf("\n%s\n", line);
		el_set(prompt.edit, EL_REFRESH);
		fflush(stdout);
		return;
	}
	for (unsigned row = cursor_row(); row > 0; row--)
		fputs("\033[A", stdout);
	printf("\r\033[J%s\n", line);
	el_set(prompt.edit, EL_REFRESH);
	fflush(stdout);
}

/*
 * The terminal has another size, or is ours again after ^Z and fg: then it is as the shell left it. libedit would have
 * to give it back first before it took it again, and keys that come between the two would be lost.
 */
static void redraw(void)
{
	tcsetattr(STDIN_FILENO, TCSADRAIN, &prompt.modes);
	el_resize(prompt.edit);
	fputs(prompt.is_dumb ? "\n" : "\r\033[J", stdout);
	el_set(prompt.edit, EL_REFRESH);
	fflush(stdout);
}

static bool is_at_end(const struct connect_loop *loop)
{
	return loop->state == CONNECT_OVER || loop->client.stopping || loop->client.silent;
}

/* Waits for keys. False at the end of input or of the conversation. */
static bool fetch_keys(void)
{
	while (!is_at_end(prompt.loop)) {
		bool ready = connect_loop_turn(prompt.loop, true);
		ssize_t len;

		if (connect_signals_redraw() && prompt.has_modes)
			redraw();
		if (!ready)
			continue;
		len = read(STDIN_FILENO, prompt.keys, sizeof(prompt.keys));
		prompt.key = 0;
		prompt.key_count = len > 0 ? (size_t)len : 0;
		return len > 0;
	}
	return false;
}

/* The next character; bytes that are none are skipped. */
static int get_character(EditLine *edit, wchar_t *character)
{
	(void)edit;
	if (!prompt.has_modes)
		prompt.has_modes = tcgetattr(STDIN_FILENO, &prompt.modes) == 0;
	for (;;) {
		size_t len;

		if (prompt.key == prompt.key_count && !fetch_keys())
			return 0;
		len = mbrtowc(character, &prompt.keys[prompt.key++], 1, &prompt.character);
		if (len == (size_t)-1)
			prompt.character = (mbstate_t){0};
		else if (len != (size_t)-2)
			return 1;
	}
}

static void say(struct connect_loop *loop, const char *text, size_t len)
{
	while (!connect_loop_has_room(loop) && !is_at_end(loop))
		connect_loop_turn(loop, false);
	if (!is_at_end(loop))
		(void)connect_loop_say(loop, text, len);
}

/* One message, or one for each word. */
static void say_line(struct connect_loop *loop, const char *line, size_t len)
{
	if (loop->options->framing == FRAMING_LINE) {
		say(loop, line, len);
		return;
	}
	for (size_t start = 0; start < len;) {
		size_t word = strcspn(line + start, " \t\n");

		if (word > 0)
			say(loop, line + start, word);
		start += word + 1;
	}
}

static EditLine *open_edit(History *past)
{
	EditLine *edit = el_init("lifeline", stdin, stdout, stderr);
	HistEvent event;

	if (!edit)
		return NULL;
	history(past, &event, H_SETSIZE, HISTORY_LINES);
	history(past, &event, H_SETUNIQUE, 1);
	el_set(edit, EL_PROMPT, prompt_text);
	el_set(edit, EL_EDITOR, "emacs");
	el_set(edit, EL_HIST, history, past);
	el_set(edit, EL_SIGNAL, 0);
	el_set(edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
	/* Between two lines, too, what is typed is neither echoed nor held back: it waits for the next line. */
	el_set(edit, EL_SETTY, "-x", "-echo", "-icanon", NULL);
	el_source(edit, NULL);
	el_set(edit, EL_GETCFN, get_character);
	return edit;
}

/* The next line without its end, borrowed until the next call. NULL at the end. */
static const char *read_line(EditLine *edit, History *past, size_t *len)
{
	int count = 0;
	HistEvent event;
	const char *line;

	prompt.edit = edit;
	prompt.has_modes = false;
	/* Before the prompt is shown: who sees it may type. */
	el_set(edit, EL_PREP_TERM, 1);
	line = el_gets(edit, &count);
	prompt.edit = NULL;
	if (!line || count <= 0) {
		/* The prompt is still there. */
		fputs(prompt.is_dumb ? "\n" : "\r\033[J", stdout);
		fflush(stdout);
		return NULL;
	}
	*len = (size_t)count;
	if (line[*len - 1] == '\n')
		--*len;
	if (*len > 0)
		history(past, &event, H_ENTER, line);
	return line;
}

/* Characters are to be UTF-8 even where the environment forgot to say so. */
static void set_up_characters(void)
{
	if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		setlocale(LC_CTYPE, "C.UTF-8");
}

static bool is_dumb(void)
{
	const char *term = getenv("TERM");

	return !term || *term == '\0' || strcmp(term, "dumb") == 0;
}

void connect_prompt_run(struct connect_loop *loop)
{
	History *past = history_init();
	EditLine *edit;
	const char *line;
	size_t len;

	set_up_characters();
	prompt.loop = loop;
	prompt.is_dumb = is_dumb();
	/* There is nothing to ask for before it is known whether there is anyone to talk to. */
	while (loop->state == CONNECT_DIALING)
		connect_loop_turn(loop, false);
	edit = open_edit(past);
	while (edit && !is_at_end(loop) && (line = read_line(edit, past, &len)))
		say_line(loop, line, len);
	connect_loop_end_input(loop);
	while (loop->state != CONNECT_OVER)
		connect_loop_turn(loop, false);
	if (edit)
		el_end(edit);
	history_end(past);
}
