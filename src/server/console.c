/* The thread that reads the feeds. It sleeps while there is nothing, and is woken at most once for each time it slept. */

#include "server/console.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/worker.h"

/* From one worker so many events are taken before it is the next one's turn. */
#define EVENTS_A_LOOK 1024

/* How long lines are gathered. Nobody sees that they are so late. */
#define REST_MS 5

/*
 * What could not be written is lost and counted, for a disk may have room again. The line that tells of losses is not
 * counted, but told anew; where a line was cut, what comes after it begins with its LF.
 */
static void lose(struct console *console, size_t written)
{
	const char *rest = console->buffer + written;
	const char *end = console->buffer + console->len;
	bool is_cut = written > 0 ? rest[-1] != '\n' : console->is_cut;

	/* The LF of one that was cut before is nobody's. */
	if (written == 0 && console->is_cut)
		rest++;
	while ((rest = memchr(rest, '\n', (size_t)(end - rest))) != NULL) {
		console->lost++;
		rest++;
	}
	if (console->telling_lost != console->told_lost)
		console->lost--;
	console->telling_lost = console->told_lost;
	console->is_cut = is_cut;
	console->buffer[0] = '\n';
	console->len = is_cut ? 1 : 0;
}

static void flush(struct console *console)
{
	size_t written = 0;

	while (written < console->len) {
		ssize_t n = write(STDOUT_FILENO, console->buffer + written, console->len - written);

		if (n > 0) {
			written += (size_t)n;
			atomic_fetch_add_explicit(&console->written, (uint64_t)n,
						  memory_order_relaxed);
		} else if (n < 0 && errno == EAGAIN) {
			struct pollfd ready = {.fd = STDOUT_FILENO, .events = POLLOUT};

			poll(&ready, 1, -1);
		} else if (n == 0 || errno != EINTR) {
			lose(console, written);
			return;
		}
	}
	console->told_lost = console->telling_lost;
	console->is_cut = false;
	console->len = 0;
}

static struct console_line line_begin(struct console *console)
{
	if (sizeof(console->buffer) - console->len < CONSOLE_LINE_MAX)
		flush(console);
	return (struct console_line){
		.text = console->buffer + console->len,
		.size = sizeof(console->buffer) - console->len,
	};
}

static void line_end(struct console *console, const struct console_line *line)
{
	console->len += line->len < line->size ? line->len : line->size - 1;
}

/* How far the wall clock is ahead of the monotonic one, by two's complement. */
static uint64_t ahead_now(void)
{
	struct mono mono;
	struct wall wall;

	clock_both(&mono, &wall);
	return wall.ns - mono.ns;
}

static unsigned print_events(struct console *console, struct feed *feed, uint64_t ahead)
{
	struct {
		struct event event;
		char text[EVENT_TEXT_MAX];
	} record;
	unsigned printed;

	for (printed = 0; printed < EVENTS_A_LOOK; printed++) {
		size_t len = feed_take(feed, &record, sizeof(record));
		struct console_line line;

		if (len == 0)
			break;
		line = line_begin(console);
		console->format->event(&line, &console->self, &record.event, record.text,
				       len - sizeof(record.event),
				       (struct wall){record.event.at.ns + ahead});
		line_end(console, &line);
	}
	return printed;
}

static unsigned print_notes(struct console *console, uint64_t ahead)
{
	struct note note;
	unsigned printed;

	for (printed = 0; printed < EVENTS_A_LOOK; printed++) {
		struct console_line line;

		if (!house_take_note(console->house, &note))
			break;
		line = line_begin(console);
		console->format->note(&line, &console->self, &note, ahead);
		line_end(console, &line);
	}
	return printed;
}

static unsigned more(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

static void print_lost(struct console *console, uint64_t ahead)
{
	struct house *house = console->house;
	uint64_t lost =
		console->lost + atomic_load(&house->verdicts.lost) + atomic_load(&house->own.lost);
	struct console_line line;

	for (unsigned i = 0; i < house->workers_count; i++)
		lost += atomic_load(&house->workers[i]->feed.lost);
	if (lost == console->told_lost)
		return;
	line = line_begin(console);
	console->format->dropped(&line, &console->self, lost - console->told_lost,
				 (struct wall){clock_mono().ns + ahead});
	line_end(console, &line);
	console->telling_lost = lost;
}

/* Everything there is, once around. What workers saw comes before what was judged of it. Returns the most of one kind. */
static unsigned look(struct console *console)
{
	struct house *house = console->house;
	uint64_t ahead = ahead_now();
	unsigned most = 0;

	for (unsigned i = 0; i < house->workers_count; i++)
		most = more(most, print_events(console, &house->workers[i]->feed, ahead));
	most = more(most, print_events(console, &house->own, ahead));
	most = more(most, print_notes(console, ahead));
	print_lost(console, ahead);
	flush(console);
	return most;
}

/*
 * Where something was told just now, more will be: it is gathered for a moment. To be woken for each line would cost the
 * workers more than the line.
 */
static void rest(const struct console *console)
{
	const struct timespec moment = {.tv_nsec = REST_MS * (long)NS_PER_MS};

	if (!atomic_load(&console->ending))
		nanosleep(&moment, NULL);
}

static void *run(void *context)
{
	struct console *console = context;
	struct house *house = console->house;
	struct console_line line;

	for (;;) {
		bool ending = atomic_load(&console->ending);

		unsigned found;

		while ((found = look(console)) > 0)
			if (found < EVENTS_A_LOOK)
				rest(console);
		if (ending)
			break;
		/* Whoever writes after this wakes us; what was written just before is seen by one more look. */
		atomic_store(&house->console_sleeps, true);
		atomic_thread_fence(memory_order_seq_cst); /* see house_tell */
		if (look(console) == 0 && !atomic_load(&console->ending))
			while (sem_wait(&house->console_wanted) != 0 && errno == EINTR)
				;
		atomic_store(&house->console_sleeps, false);
	}
	line = line_begin(console);
	console->format->stopped(&line, &console->self, clock_wall());
	line_end(console, &line);
	flush(console);
	sem_post(&console->ended);
	return NULL;
}

int console_open(struct console *console, struct house *house, const struct console_format *format,
		 const struct console_self *self, const struct console_ready *ready)
{
	struct console_line line;
	int error;

	console->house = house;
	console->format = format;
	console->self = *self;
	console->len = 0;
	console->is_cut = false;
	console->lost = console->told_lost = console->telling_lost = 0;
	atomic_init(&console->ending, false);
	atomic_init(&console->written, 0);
	sem_init(&console->ended, 0, 0);
	line = line_begin(console);
	format->ready(&line, self, ready, clock_wall());
	line_end(console, &line);
	error = pthread_create(&console->thread, NULL, run, console);
	return -error;
}

/* Waits for its end as long as somebody reads what it prints. */
static bool has_ended(struct console *console)
{
	uint64_t seen = UINT64_MAX;

	while (seen != atomic_load(&console->written)) {
		struct timespec until;
		int ended;

		seen = atomic_load(&console->written);
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += 1;
		do
			ended = sem_clockwait(&console->ended, CLOCK_MONOTONIC, &until);
		while (ended != 0 && errno == EINTR);
		if (ended == 0)
			return true;
	}
	return false;
}

void console_close(struct console *console)
{
	atomic_store(&console->ending, true);
	sem_post(&console->house->console_wanted);
	/* It hangs in a write that nobody reads. What it reads itself is about to be freed, so it ends here. */
	if (!has_ended(console))
		pthread_cancel(console->thread);
	pthread_join(console->thread, NULL);
	sem_destroy(&console->ended);
}
