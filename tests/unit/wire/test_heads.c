/* The slots for unfinished lines, and the last texts. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/final.h"
#include "wire/heads.h"

#define COUNT 5

static void every_slot_once(void **state)
{
	struct heads heads;
	void *memory = calloc(1, heads_bytes(COUNT));
	bool taken[COUNT] = {false};

	(void)state;
	heads_init(&heads, memory, COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		uint32_t slot = heads_take(&heads);

		assert_true(slot < COUNT);
		assert_false(taken[slot]);
		taken[slot] = true;
		memset(heads_at(&heads, slot), (int)slot + 1, WIRE_HEAD_BYTES);
	}
	assert_int_equal(heads.taken, COUNT);
	for (uint32_t slot = 0; slot < COUNT; slot++)
		for (size_t i = 0; i < WIRE_HEAD_BYTES; i++)
			assert_int_equal(heads_at(&heads, slot)[i], slot + 1);
	free(memory);
}

/* Slots are used again, last one first, and those beyond stay untouched. */
static void slots_are_used_again(void **state)
{
	struct heads heads;
	void *memory = calloc(1, heads_bytes(COUNT));
	uint32_t a, b, c;

	(void)state;
	heads_init(&heads, memory, COUNT);
	a = heads_take(&heads);
	b = heads_take(&heads);
	c = heads_take(&heads);
	heads_give(&heads, a);
	heads_give(&heads, c);
	assert_int_equal(heads.taken, 1);
	assert_int_equal(heads_take(&heads), c);
	assert_int_equal(heads_take(&heads), a);
	assert_int_equal(heads.used, 3);
	heads_give(&heads, a);
	heads_give(&heads, b);
	assert_int_equal(heads_take(&heads), b);
	assert_int_equal(heads_take(&heads), a);
	assert_int_equal(heads_take(&heads), 3);
	heads_give(&heads, b);
	for (int i = 0; i < 1000; i++)
		heads_give(&heads, heads_take(&heads));
	assert_int_equal(heads.used, 4);
	assert_int_equal(heads.taken, 3);
	free(memory);
}

/* The text of a message is read from a slot that was given back already. */
static void what_was_given_back_can_be_read(void **state)
{
	struct heads heads;
	void *memory = calloc(1, heads_bytes(COUNT));
	uint32_t a, b;

	(void)state;
	heads_init(&heads, memory, COUNT);
	a = heads_take(&heads);
	b = heads_take(&heads);
	memset(heads_at(&heads, a), 'a', WIRE_HEAD_BYTES);
	memset(heads_at(&heads, b), 'b', WIRE_HEAD_BYTES);
	heads_give(&heads, b);
	heads_give(&heads, a);
	for (size_t i = 0; i < WIRE_HEAD_BYTES; i++) {
		assert_int_equal(heads_at(&heads, a)[i], 'a');
		assert_int_equal(heads_at(&heads, b)[i], 'b');
	}
	free(memory);
}

static void the_last_texts(void **state)
{
	static const char *const texts[FINAL_COUNT] = {
		[FINAL_NONE] = "",
		[FINAL_STOP] = "stop\n",
		[FINAL_RETRY] = "retry 5\n",
		[FINAL_TOO_LONG] = "error message too long\n",
		[FINAL_ID_NAME] =
			"error id: a name is 1 to 128 bytes of printable UTF-8 without spaces\n",
		[FINAL_ID_OPTION] = ("error id: unknown option, or one given twice; there are "
				     "every, grace, group and key\n"),
		[FINAL_ID_DURATION] =
			"error id: every and grace are durations like 500ms, 30s, 5m or 2h\n",
		[FINAL_ID_RANGE] =
			"error id: every or grace is outside of what this server allows\n",
		[FINAL_ID_GROUP] =
			"error id: a group is 1 to 128 bytes of printable UTF-8 without spaces\n",
		[FINAL_ID_KEY] = "error id: wrong key\n",
		[FINAL_ID_TAKEN] = "error id: in use\n",
		[FINAL_ID_MANY] = "error id: too many names for one connection\n",
		[FINAL_ID_FULL] = "error id: too many names are known\n",
	};

	(void)state;
	for (enum final final = FINAL_NONE; final < FINAL_COUNT; final++) {
		size_t len = strlen(texts[final]);

		assert_non_null(texts[final]);
		assert_string_equal(final_text(final), texts[final]);
		assert_int_equal(final_len(final, true), len);
		assert_int_equal(final_len(final, false), len > 0 ? len - 1 : 0);
		/* One line, and its length fits where a conversation counts it. */
		assert_true(len < 256);
		assert_true(len == 0 || strchr(texts[final], '\n') == texts[final] + len - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_slot_once),
		cmocka_unit_test(slots_are_used_again),
		cmocka_unit_test(what_was_given_back_can_be_read),
		cmocka_unit_test(the_last_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
