/* Input at the very edge of memory, before it and behind it: nothing beyond is touched. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "wire/conversation.h"

/* A page that can be read and written, between two that cannot. */
struct island {
	char *all;
	char *page;
	size_t size;
};

static struct island island_new(void)
{
	struct island island = {.size = (size_t)sysconf(_SC_PAGESIZE)};

	island.all = mmap(NULL, 3 * island.size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(island.all != MAP_FAILED);
	island.page = island.all + island.size;
	assert_int_equal(mprotect(island.page, island.size, PROT_READ | PROT_WRITE), 0);
	return island;
}

static void island_free(struct island *island)
{
	munmap(island->all, 3 * island->size);
}

/* Heads on an island of their own, so that they are not written beyond either. */
static struct island heads_island;
static struct heads heads;

static int set_up(void **state)
{
	(void)state;
	heads_island = island_new();
	heads_init(&heads, heads_island.page + heads_island.size - heads_bytes(2), 2);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	island_free(&heads_island);
	return 0;
}

static void hear(const char *input, size_t len, enum framing framing, size_t longest, bool each)
{
	struct conversation conversation;
	size_t used = 0;

	conversation_init(&conversation, framing);
	while (used < len && !conversation_is_over(&conversation))
		used += conversation_hear(&conversation, &heads, input + used, len - used, longest,
					  each)
				.used;
	assert_true(used <= len);
	conversation_spells_stop(&conversation, &heads);
	conversation_end(&conversation, &heads);
	conversation_fini(&conversation, &heads);
	assert_int_equal(heads.taken, 0);
}

static void hear_at_both_edges(const struct island *island, const char *bytes, size_t len)
{
	static const size_t limits[] = {0, 1, 7, 8, 9, 65536};

	for (enum framing framing = FRAMING_AUTO; framing <= FRAMING_RAW; framing++) {
		for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
			memcpy(island->page, bytes, len);
			hear(island->page, len, framing, limits[i], false);
			hear(island->page, len, framing, limits[i], true);
			char *end = island->page + island->size - len;

			memmove(end, island->page, len);
			hear(end, len, framing, limits[i], false);
			hear(end, len, framing, limits[i], true);
		}
	}
}

static void every_length_of_some_patterns(void **state)
{
	static const char *const patterns[] = {
		"x",  "\n",  "\r",  "ping\n", "x\n",   "stop\r\n",   "id\n",	  "i",	      "s",
		"st", "sto", "\ns", "\ni",    "xstop", "12345678\n", "1234567\n", "id a\n\r",
	};
	struct island island = island_new();

	(void)state;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		char bytes[80];

		for (size_t at = 0; at < sizeof(bytes); at++)
			bytes[at] = patterns[i][at % strlen(patterns[i])];
		for (size_t len = 0; len <= sizeof(bytes); len++)
			hear_at_both_edges(&island, bytes, len);
	}
	island_free(&island);
}

static void a_whole_page(void **state)
{
	struct island island = island_new();

	(void)state;
	for (size_t i = 0; i < island.size; i++)
		island.page[i] = i % 5 == 4 ? '\n' : 'x';
	hear(island.page, island.size, FRAMING_LINE, 65536, false);
	hear(island.page, island.size, FRAMING_LINE, 65536, true);
	memset(island.page, 'x', island.size);
	hear(island.page, island.size, FRAMING_LINE, 65536, false);
	hear(island.page, island.size, FRAMING_RAW, 65536, false);
	memset(island.page, 0, island.size);
	hear(island.page, island.size, FRAMING_RAW, 65536, false);
	hear(island.page, island.size, FRAMING_AUTO, 65536, true);
	island_free(&island);
}

/* The next receive is behind a page that cannot be read: what is kept of the last one is a copy. */
static void an_unfinished_line_is_copied(void **state)
{
	struct island island = island_new();
	struct conversation conversation;
	struct hearing hearing;

	(void)state;
	conversation_init(&conversation, FRAMING_LINE);
	memcpy(island.page, "id pump", 7);
	hearing = conversation_hear(&conversation, &heads, island.page, 7, 100, false);
	assert_int_equal(hearing.what, HEARD_ALL);
	assert_int_equal(mprotect(island.page, island.size, PROT_NONE), 0);
	hearing = conversation_hear(&conversation, &heads, "-7\n", 3, 100, false);
	assert_int_equal(hearing.what, HEARD_ID);
	assert_int_equal(hearing.len, 9);
	assert_memory_equal(hearing.text, "id pump-7", 9);
	conversation_fini(&conversation, &heads);
	island_free(&island);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_length_of_some_patterns, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_whole_page, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_unfinished_line_is_copied, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
