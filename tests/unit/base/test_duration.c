/* Durations, read and written. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/duration.h"

#define DAY_MS UINT64_C(86400000)
#define TEN_YEARS_MS (3650 * DAY_MS)

static void read_good(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} cases[] = {
		{"500ms", 500},
		{"30s", 30000},
		{"5m", 300000},
		{"2h", 7200000},
		{"30d", 30 * DAY_MS},
		{"0", 0},
		{"0s", 0},
		{"0ms", 0},
		{"1ms", 1},
		{"007s", 7000},
		{"3650d", TEN_YEARS_MS},
		{"315360000s", TEN_YEARS_MS},
		{"315360000000ms", TEN_YEARS_MS},
		{"00000000000000000000000000000000000001h", 3600000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t ms = 77;

		assert_true(duration_read(&ms, cases[i].text, strlen(cases[i].text)));
		assert_int_equal(ms, cases[i].ms);
	}
}

static void read_bad(void **state)
{
	static const char *const cases[] = {
		"",
		"s",
		"ms",
		"1",
		"00",
		"30",
		"-1s",
		"+1s",
		" 1s",
		"1s ",
		"1 s",
		"1.5s",
		"1S",
		"1sec",
		"1min",
		"1mss",
		"1smm",
		"1w",
		"1y",
		"s1",
		"1s30",
		"1m30s",
		"0x1s",
		"3651d",
		"87601h",
		"5256001m",
		"315360001s",
		"315360000001ms",
		"18446744073709551616ms",
		"18446744073709551617s",
		"99999999999999999999999d",
		"213503982335d",
		"1\xc2\xb5s",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t ms = 77;

		assert_false(duration_read(&ms, cases[i], strlen(cases[i])));
		assert_int_equal(ms, 77);
	}
}

/* The text ends where its length says, not at a NUL. */
static void read_within_its_length(void **state)
{
	uint64_t ms;

	(void)state;
	assert_true(duration_read(&ms, "30ms", 3));
	assert_int_equal(ms, 1800000);
	assert_true(duration_read(&ms, "500s", 4));
	assert_false(duration_read(&ms, "500s", 3));
	assert_false(duration_read(&ms, "5s\0", 3));
	assert_true(duration_read(&ms, "05", 1));
	assert_int_equal(ms, 0);
}

static void written_exactly(void **state)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} cases[] = {
		{0, "0s"},
		{1, "1ms"},
		{999, "999ms"},
		{1000, "1s"},
		{1001, "1001ms"},
		{60000, "1m"},
		{90000, "90s"},
		{3600000, "1h"},
		{5400000, "90m"},
		{DAY_MS, "1d"},
		{DAY_MS + 3600000, "25h"},
		{30 * DAY_MS, "30d"},
		{UINT64_MAX, "18446744073709551615ms"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[DURATION_TEXT];

		assert_ptr_equal(duration_write(text, cases[i].ms), text);
		assert_string_equal(text, cases[i].text);
	}
}

static void what_is_written_can_be_read(void **state)
{
	(void)state;
	for (uint64_t ms = 0; ms < TEN_YEARS_MS; ms += 1 + ms / 3) {
		char text[DURATION_TEXT];
		uint64_t again = UINT64_MAX;

		duration_write(text, ms);
		assert_true(duration_read(&again, text, strlen(text)));
		assert_int_equal(again, ms);
	}
}

static void written_for_reading(void **state)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} cases[] = {
		{0, "0s"},
		{1, "1ms"},
		{350, "350ms"},
		{999, "999ms"},
		{1000, "1s"},
		{1049, "1s"},
		{1050, "1.1s"},
		{4150, "4.2s"},
		{30000, "30s"},
		{59949, "59.9s"},
		{59950, "1m"},
		{60000, "1m"},
		{60499, "1m"},
		{60500, "1m1s"},
		{200000, "3m20s"},
		{3599499, "59m59s"},
		{3599500, "1h"},
		{18720000, "5h12m"},
		{18749999, "5h12m"},
		{18750000, "5h13m"},
		{DAY_MS - 30001, "23h59m"},
		{DAY_MS - 30000, "1d"},
		{12 * DAY_MS + 3 * 3600000, "12d3h"},
		{12 * DAY_MS + 1799999, "12d"},
		{12 * DAY_MS + 1800000, "12d1h"},
		{UINT64_MAX, "213503982334d14h"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[DURATION_TEXT];

		assert_ptr_equal(duration_about(text, cases[i].ms), text);
		assert_string_equal(text, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read_good),
		cmocka_unit_test(read_bad),
		cmocka_unit_test(read_within_its_length),
		cmocka_unit_test(written_exactly),
		cmocka_unit_test(what_is_written_can_be_read),
		cmocka_unit_test(written_for_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
