/* Bytes as they are typed. */

#include "load/literal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void assert_reads(const char *text, const char *end, const char *bytes, size_t len)
{
	struct literal literal;

	assert_int_equal(literal_read(&literal, text, end), 0);
	assert_int_equal(literal.len, len);
	assert_memory_equal(literal.bytes, bytes, len);
	literal_fini(&literal);
}

static void good_ones(void **state)
{
	(void)state;
	assert_reads("beat", "\n", "beat\n", 5);
	assert_reads("", "\n", "\n", 1);
	assert_reads("", "", "", 0);
	assert_reads("PING\\r\\n", "", "PING\r\n", 6);
	assert_reads("\\xc0\\x00\\xFf", "", "\xc0\x00\xff", 3);
	assert_reads("a\\0b\\t\\\\n", "\n", "a\0b\t\\n\n", 7);
}

static void bad_ones(void **state)
{
	static const char *const bad[] = {"\\",	   "a\\",   "\\q",   "\\x",    "\\x1",
					  "\\x1g", "\\xg1", "\\X00", "\\#\\#", "\\ "};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct literal literal;

		assert_int_equal(literal_read(&literal, bad[i], "\n"), -EINVAL);
	}
}

static void assert_fills(const char *text, uint32_t number, const char *wanted)
{
	struct literal literal;
	char filled[64];
	size_t len;

	assert_int_equal(literal_read(&literal, text, "\n"), 0);
	len = literal_fill(&literal, filled, number);
	assert_int_equal(len, strlen(wanted));
	assert_memory_equal(filled, wanted, len);
	literal_fini(&literal);
}

static void numbers(void **state)
{
	(void)state;
	assert_fills("id client-\\# every=5s", 0, "id client-0 every=5s\n");
	assert_fills("\\#", 4294967295u, "4294967295\n");
	assert_fills("x\\#", 17, "x17\n");
	assert_fills("#", 17, "#\n");
	assert_fills("none", 17, "none\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones),
		cmocka_unit_test(bad_ones),
		cmocka_unit_test(numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
