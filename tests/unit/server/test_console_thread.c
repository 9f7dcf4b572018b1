/* The console's thread: it sleeps through nothing, and whatever its output takes or does not, it ends. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/console.h"
#include "server/tell.h"

#define PATIENCE_NS (30 * NS_PER_S)

/* A server without workers, whose output goes where the test wants it. */
struct stage {
	struct house house;
	struct console console;
	int output; /* the true one */
};

static const struct console_self self = {.node = "alpha", .epoch = 1700000000};
static const char *const addresses[] = {"here"};
static const struct console_ready ready = {addresses, 1, "none", 1, 1};

static void open_stage(struct stage *stage, int output)
{
	static const struct directory_config config = {
		.rhythm = {1000, 1000, 1, 1000, 0, 1000}, .workers = 1, .known_max = 1};

	memset(stage, 0, sizeof(*stage));
	fflush(stdout);
	stage->output = dup(STDOUT_FILENO);
	dup2(output, STDOUT_FILENO);
	assert_int_equal(house_open(&stage->house, &config, clock_mono()), 0);
	assert_int_equal(console_open(&stage->console, &stage->house, &console_text, &self, &ready),
			 0);
}

static void close_stage(struct stage *stage)
{
	console_close(&stage->console);
	dup2(stage->output, STDOUT_FILENO);
	close(stage->output);
	house_close(&stage->house);
}

/* All that was told has been taken, whether or not it could be written. */
static bool is_taken_in_time(struct stage *stage)
{
	struct mono until = mono_after(clock_mono(), PATIENCE_NS);

	while (atomic_load(&stage->house.own.read) != atomic_load(&stage->house.own.written)) {
		if (!mono_before(clock_mono(), until))
			return false;
		sched_yield();
	}
	return true;
}

/* It is asleep, and what it took is written. */
static void await_sleep(struct stage *stage)
{
	struct mono until = mono_after(clock_mono(), PATIENCE_NS);

	while (!atomic_load(&stage->house.console_sleeps)) {
		assert_true(mono_before(clock_mono(), until));
		sched_yield();
	}
}

static void whatever_is_told_while_it_falls_asleep_is_printed(void **state)
{
	int nowhere = open("/dev/null", O_WRONLY);
	struct stage stage;
	bool all = true;

	(void)state;
	open_stage(&stage, nowhere);
	for (unsigned i = 0; i < 500 && all; i++) {
		tell_overflow(&stage.house, i);
		all = is_taken_in_time(&stage);
	}
	close_stage(&stage);
	close(nowhere);
	assert_true(all);
}

static unsigned threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned count = 0;

	assert_non_null(tasks);
	for (struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks))
		count += task->d_name[0] != '.';
	closedir(tasks);
	return count;
}

static void nothing_of_it_is_left_though_nobody_reads(void **state)
{
	unsigned before = threads();
	struct stage stage;
	char byte = 0;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	while (write(ends[1], &byte, 1) == 1)
		;
	assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
	open_stage(&stage, ends[1]);
	close_stage(&stage);
	assert_int_equal(threads(), before);
	close(ends[0]);
	close(ends[1]);
}

/* The last line is the only one for which there is no room. */
static void it_ends_though_its_last_line_is_not_taken(void **state)
{
	static char page[4096], text[CONSOLE_LINE_MAX];
	struct console_line first = {.text = text, .size = sizeof(text)};
	struct stage stage;
	size_t before;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fcntl(ends[1], F_SETPIPE_SZ, sizeof(page)), sizeof(page));
	console_text.ready(&first, &self, &ready, clock_wall());
	before = sizeof(page) - first.len - 5;
	assert_int_equal(write(ends[1], page, before), before);
	open_stage(&stage, ends[1]);
	await_sleep(&stage);
	close_stage(&stage);
	close(ends[0]);
	close(ends[1]);
}

/* How many lines are told of as dropped, and how many have come. */
static void read_lines(int fd, unsigned *dropped, unsigned *came)
{
	char text[4096];
	ssize_t len = pread(fd, text, sizeof(text) - 1, 0);

	assert_true(len >= 0);
	text[len] = '\0';
	*dropped = *came = 0;
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		const char *count = strstr(line, "  ");

		assert_non_null(count);
		if (strstr(line, "dropped") != NULL)
			*dropped += (unsigned)strtoul(count, NULL, 10);
		else if (strstr(line, "has stopped") == NULL)
			++*came;
	}
}

static void what_a_full_disk_does_not_take_is_counted_and_told_once_it_does(void **state)
{
	char path[] = "/tmp/lifeline-console-XXXXXX";
	int full = open("/dev/full", O_WRONLY), file = mkstemp(path);
	struct stage stage;
	unsigned dropped, came;

	(void)state;
	open_stage(&stage, full);
	await_sleep(&stage);
	for (unsigned i = 0; i < 3; i++) {
		tell_overflow(&stage.house, 1);
		assert_true(is_taken_in_time(&stage));
	}
	dup2(file, STDOUT_FILENO);
	tell_overflow(&stage.house, 1);
	assert_true(is_taken_in_time(&stage));
	close_stage(&stage);
	read_lines(file, &dropped, &came);
	unlink(path);
	close(file);
	close(full);
	/* The ready line was lost for certain, the last one came; in between each is one or the other. */
	assert_true(dropped >= 1 && came >= 1);
	assert_int_equal(dropped + came, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_is_told_while_it_falls_asleep_is_printed),
		cmocka_unit_test(nothing_of_it_is_left_though_nobody_reads),
		cmocka_unit_test(it_ends_though_its_last_line_is_not_taken),
		cmocka_unit_test(what_a_full_disk_does_not_take_is_counted_and_told_once_it_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
