/* What `lifeline serve` can be told. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/options.h"

static int saved_stderr = -1;

/* What is printed on standard error during `read`, and what it returned. */
static int read_options(struct options *options, char *said, size_t size, char *const *argv)
{
	char *copy[32] = {(char *)"serve"};
	int argc = 1, result, fds[2];
	ssize_t len;

	for (; argv[argc - 1] != NULL; argc++)
		copy[argc] = argv[argc - 1];
	assert_int_equal(pipe(fds), 0);
	fflush(stderr);
	saved_stderr = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	options_init(options);
	result = options_read(options, argc, copy);
	fflush(stderr);
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(fds[1]);
	len = read(fds[0], said, size - 1);
	said[len > 0 ? len : 0] = '\0';
	close(fds[0]);
	return result;
}

#define READ(options, said, ...)                                                                   \
	read_options(options, said, sizeof(said), (char *const[]){__VA_ARGS__, NULL})

static void nothing_said_is_the_default(void **state)
{
	struct options options;
	char said[512];

	(void)state;
	assert_int_equal(read_options(&options, said, sizeof(said), (char *const[]){NULL}), 0);
	assert_int_equal(options.listen_count, 1);
	assert_string_equal(options.listen[0].where, "[::]:6666");
	assert_int_equal(options.listen[0].framing, FRAMING_AUTO);
	assert_string_equal(options.engine, "auto");
	assert_int_equal(options.every_ms, 60000);
	assert_int_equal(options.grace_ms, 30000);
	assert_int_equal(options.rejoin_ms, 5000);
	assert_int_equal(options.linger_ms, 2);
	assert_false(options.json);
}

static void each_kind_of_value_is_read(void **state)
{
	struct options options;
	char said[512];

	(void)state;
	assert_int_equal(READ(&options, said, "--listen", "7000,framing=line", "--listen",
			      "unix:/run/x", "--every", "2m", "--max-clients", "12", "--duplicate",
			      "refuse", "--log-format", "json", "--engine", "epoll",
			      "--show-messages", "-v", "--node", "alpha"),
			 0);
	assert_int_equal(options.listen_count, 2);
	assert_string_equal(options.listen[0].where, "7000");
	assert_int_equal(options.listen[0].framing, FRAMING_LINE);
	assert_string_equal(options.listen[1].where, "unix:/run/x");
	assert_int_equal(options.every_ms, 120000);
	assert_int_equal(options.clients_max, 12);
	assert_true(options.refuse_duplicates);
	assert_true(options.json);
	assert_string_equal(options.engine, "epoll");
	assert_true(options.show_messages);
	assert_true(options.verbose);
	assert_string_equal(options.node, "alpha");
}

static void wrong_values_are_errors_that_name_them(void **state)
{
	static const struct {
		char *name, *value, *why;
	} wrong[] = {
		{"--every", "soon", "no duration"},
		{"--every", "500d", "outside"},
		{"--linger", "3ms", "outside of 0"},
		{"--max-clients", "0", "outside of 1"},
		{"--max-clients", "1x", "whole number"},
		{"--max-clients", "-1", "whole number"},
		{"--engine", "kqueue", "auto|uring"},
		{"--duplicate", "keep", "replace|refuse"},
		{"--listen", "1,framing=lines", "framing"},
		{"--node", "", "1 to 64 bytes"},
		{"--node", "two words", "1 to 64 bytes"},
		{"--node", "a\nb", "1 to 64 bytes"},
		{"--node", "\xff", "1 to 64 bytes"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct options options;
		char said[512];

		assert_int_equal(READ(&options, said, wrong[i].name, wrong[i].value), -1);
		assert_non_null(strstr(said, wrong[i].name));
		assert_non_null(strstr(said, wrong[i].why));
	}
}

static void unknown_options_and_words_are_errors(void **state)
{
	struct options options;
	char said[512];

	(void)state;
	assert_int_equal(READ(&options, said, "--evry", "3s"), -1);
	assert_non_null(strstr(said, "evry"));
	assert_int_equal(READ(&options, said, "6666"), -1);
	assert_non_null(strstr(said, "6666"));
	assert_int_equal(READ(&options, said, "--min-every", "2s", "--max-every", "1s"), -1);
	assert_non_null(strstr(said, "--min-every"));
}

static const char *write_file(const char *text)
{
	static char path[64];
	int fd;

	strcpy(path, "/tmp/lifeline-options-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	return path;
}

static void a_file_is_read_and_the_command_line_has_the_last_word(void **state)
{
	const char *path = write_file(
		"# a comment\nlisten = [::]:7777\nevery = 10s\ngrace = 5s\nshow-messages = yes\n");
	struct options options;
	char said[512];

	(void)state;
	assert_int_equal(READ(&options, said, "--every", "20s", "--config", (char *)path), 0);
	assert_string_equal(options.listen[0].where, "[::]:7777");
	assert_int_equal(options.every_ms, 20000);
	assert_int_equal(options.grace_ms, 5000);
	assert_true(options.show_messages);
	assert_int_equal(READ(&options, said, "--config", (char *)path, "--listen", "1234"), 0);
	assert_int_equal(options.listen_count, 1);
	assert_string_equal(options.listen[0].where, "1234");
	unlink(path);
}

#define TEN "0123456789"

static void errors_in_a_file_name_file_and_line(void **state)
{
	static const struct {
		const char *text, *where, *why;
	} wrong[] = {
		{"every = 10s\nevry = 3s\n", ":2:", "evry"},
		{"every = soon\n", ":1:", "no duration"},
		{"\n\nnonsense\n", ":3:", "name = value"},
		{"config = other\n", ":1:", "command line"},
		{"[part]\nevery = 1s\n", ":2:", "sections"},
		{"every = 1s\n  evry = 3s\n", ":2:", "evry"},
		{"\nnode = " TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
			 TEN TEN "\n",
		 ":2:", "too long"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const char *path = write_file(wrong[i].text);
		struct options options;
		char said[512];

		assert_int_equal(READ(&options, said, "--config", (char *)path), -1);
		assert_non_null(strstr(said, path));
		assert_non_null(strstr(said, wrong[i].where));
		assert_non_null(strstr(said, wrong[i].why));
		unlink(path);
	}
}

static void comments_may_be_long_and_lines_indented(void **state)
{
	const char *path = write_file(
		"# " TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
		" every = 7s\n  grace = 3s\n\tevery = 5s");
	struct options options;
	char said[512];

	(void)state;
	assert_int_equal(READ(&options, said, "--config", (char *)path), 0);
	assert_int_equal(options.every_ms, 5000);
	assert_int_equal(options.grace_ms, 3000);
	unlink(path);
}

static void a_folder_is_no_file(void **state)
{
	struct options options;
	char said[512];

	(void)state;
	assert_int_equal(READ(&options, said, "--config", "/"), -1);
	assert_non_null(strstr(said, "cannot read /"));
}

static void a_file_that_is_not_there_is_an_error(void **state)
{
	struct options options;
	char said[512];

	(void)state;
	assert_int_equal(READ(&options, said, "--config", "/nowhere/at/all"), -1);
	assert_non_null(strstr(said, "/nowhere/at/all"));
	assert_non_null(strstr(said, "No such file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_said_is_the_default),
		cmocka_unit_test(each_kind_of_value_is_read),
		cmocka_unit_test(wrong_values_are_errors_that_name_them),
		cmocka_unit_test(unknown_options_and_words_are_errors),
		cmocka_unit_test(a_file_is_read_and_the_command_line_has_the_last_word),
		cmocka_unit_test(errors_in_a_file_name_file_and_line),
		cmocka_unit_test(comments_may_be_long_and_lines_indented),
		cmocka_unit_test(a_folder_is_no_file),
		cmocka_unit_test(a_file_that_is_not_there_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
