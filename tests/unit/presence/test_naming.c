/* The text of `id`, the words of verdicts, and the hash of names. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "presence/name_hash.h"
#include "presence/naming.h"

static const struct rhythm_limits limits = {
	.every_ms = 60000,
	.grace_ms = 30000,
	.every_min_ms = 100,
	.every_max_ms = 86400000,
	.grace_min_ms = 50,
	.grace_max_ms = 3600000,
};

static struct naming naming;

static enum naming_fault read_id(const char *text)
{
	/* At the end of its memory, so that a sanitizer sees a read beyond. */
	size_t len = strlen(text);
	char *copy = malloc(len + 1);
	enum naming_fault fault;

	memset(&naming, 0x5a, sizeof(naming));
	memcpy(copy, text, len);
	copy[len] = 'x';
	fault = naming_read(&naming, copy, len, &limits);
	free(copy);
	return fault;
}

static void a_bare_name_takes_the_rhythm_of_the_server(void **state)
{
	(void)state;
	assert_int_equal(read_id("id boiler-3"), NAMING_GOOD);
	assert_string_equal(naming.name, "boiler-3");
	assert_int_equal(naming.name_len, 8);
	assert_int_equal(naming.group_len, 0);
	assert_string_equal(naming.group, "");
	assert_int_equal(naming.key_len, 0);
	assert_int_equal(naming.every_ms, 60000);
	assert_int_equal(naming.grace_ms, 30000);
}

static void all_options_are_read_in_any_order_and_spacing(void **state)
{
	(void)state;
	assert_int_equal(read_id("id \t bob key=a=b  group=Z\xc3\xbcrich\tgrace=50ms every=24h "),
			 NAMING_GOOD);
	assert_string_equal(naming.name, "bob");
	assert_string_equal(naming.group, "Z\xc3\xbcrich");
	assert_int_equal(naming.group_len, 7);
	assert_string_equal(naming.key, "a=b");
	assert_int_equal(naming.key_len, 3);
	assert_int_equal(naming.every_ms, 86400000);
	assert_int_equal(naming.grace_ms, 50);
}

static void a_name_has_1_to_128_bytes(void **state)
{
	char text[200] = "id ";

	(void)state;
	assert_int_equal(read_id("id"), NAMING_NAME);
	assert_int_equal(read_id("id "), NAMING_NAME);
	assert_int_equal(read_id("id  \t"), NAMING_NAME);
	memset(text + 3, 'n', 128);
	assert_int_equal(read_id(text), NAMING_GOOD);
	assert_int_equal(naming.name_len, 128);
	assert_int_equal(strlen(naming.name), 128);
	text[3 + 128] = 'n';
	assert_int_equal(read_id(text), NAMING_NAME);
}

static void a_name_is_printable_utf8(void **state)
{
	(void)state;
	assert_int_equal(read_id("id \xc3\xa4\xe2\x82\xac"), NAMING_GOOD);
	assert_int_equal(read_id("id bo\x01"), NAMING_NAME);
	assert_int_equal(read_id("id bo\x7f"), NAMING_NAME);
	assert_int_equal(read_id("id bo\xc3"), NAMING_NAME);
	assert_int_equal(read_id("id bo\xff"), NAMING_NAME);
	assert_int_equal(read_id("id bo\xc2\xa0"), NAMING_NAME);
}

static void a_rhythm_keeps_to_the_limits_and_not_a_ms_beyond(void **state)
{
	(void)state;
	assert_int_equal(read_id("id a every=100ms"), NAMING_GOOD);
	assert_int_equal(read_id("id a every=99ms"), NAMING_RANGE);
	assert_int_equal(read_id("id a every=86400000ms"), NAMING_GOOD);
	assert_int_equal(read_id("id a every=86400001ms"), NAMING_RANGE);
	assert_int_equal(read_id("id a grace=49ms"), NAMING_RANGE);
	assert_int_equal(read_id("id a grace=50ms"), NAMING_GOOD);
	assert_int_equal(read_id("id a grace=1h"), NAMING_GOOD);
	assert_int_equal(read_id("id a grace=3600001ms"), NAMING_RANGE);
	assert_int_equal(read_id("id a every=0"), NAMING_RANGE);
}

static void what_is_no_duration_is_said_so(void **state)
{
	(void)state;
	assert_int_equal(read_id("id a every=soon"), NAMING_DURATION);
	assert_int_equal(read_id("id a every=30"), NAMING_DURATION);
	assert_int_equal(read_id("id a grace=-1s"), NAMING_DURATION);
	assert_int_equal(read_id("id a grace=99999999999999999999s"), NAMING_DURATION);
}

static void unknown_empty_and_repeated_options_are_refused(void **state)
{
	(void)state;
	assert_int_equal(read_id("id a colour=red"), NAMING_OPTION);
	assert_int_equal(read_id("id a b"), NAMING_OPTION);
	assert_int_equal(read_id("id a every"), NAMING_OPTION);
	assert_int_equal(read_id("id a every="), NAMING_OPTION);
	assert_int_equal(read_id("id a group="), NAMING_OPTION);
	assert_int_equal(read_id("id a =b"), NAMING_OPTION);
	assert_int_equal(read_id("id a Every=1s"), NAMING_OPTION);
	assert_int_equal(read_id("id a every=1s every=1s"), NAMING_OPTION);
	assert_int_equal(read_id("id a grace=1s every=1s grace=2s"), NAMING_OPTION);
	assert_int_equal(read_id("id a group=g group=g"), NAMING_OPTION);
	assert_int_equal(read_id("id a key=k key=k"), NAMING_OPTION);
}

static void groups_and_keys_have_the_form_of_names(void **state)
{
	char text[200] = "id a group=";

	(void)state;
	memset(text + 11, 'g', 128);
	assert_int_equal(read_id(text), NAMING_GOOD);
	text[11 + 128] = 'g';
	assert_int_equal(read_id(text), NAMING_GROUP);
	memcpy(text, "id a   key=", 11);
	assert_int_equal(read_id(text), NAMING_KEY);
	text[11 + 128] = '\0';
	assert_int_equal(read_id(text), NAMING_GOOD);
	assert_int_equal(read_id("id a group=\xff"), NAMING_GROUP);
	assert_int_equal(read_id("id a key=\x02"), NAMING_KEY);
}

static void every_reason_has_a_word_and_a_fault(void **state)
{
	(void)state;
	for (unsigned i = REASON_NONE + 1; i < REASON_COUNT; i++) {
		assert_true(reason_word((enum reason)i)[0] != '\0');
		assert_true(fault_of((enum reason)i) != FAULT_NONE);
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(reason_word((enum reason)i),
						reason_word((enum reason)k));
	}
	assert_string_equal(reason_word(REASON_NONE), "");
	assert_string_equal(reason_word(REASON_SERVER_LOST), "server-lost");
	assert_string_equal(fault_word(fault_of(REASON_NONE)), "");
	assert_string_equal(fault_word(fault_of(REASON_HUNG)), "client");
	assert_string_equal(fault_word(fault_of(REASON_UNREACHABLE)), "network");
	assert_string_equal(fault_word(fault_of(REASON_RESET)), "client or network");
	assert_string_equal(fault_word(fault_of(REASON_KICKED)), "operator");
	assert_string_equal(fault_word(fault_of(REASON_DRAINED)), "server");
	assert_string_equal(state_word(STATE_ALIVE), "alive");
	assert_string_equal(state_word(STATE_UNKNOWN), "unknown");
}

/* The vectors of the paper's authors: seed 00 01 .. 0f, texts 00 01 .. of each length. */
static void names_are_hashed_by_siphash_2_4(void **state)
{
	static const struct {
		size_t len;
		uint64_t hash;
	} vectors[] = {
		{0, UINT64_C(0x726fdb47dd0e0e31)},  {1, UINT64_C(0x74f839c593dc67fd)},
		{7, UINT64_C(0xab0200f58b01d137)},  {8, UINT64_C(0x93f5f5799a932462)},
		{15, UINT64_C(0xa129ca6149be45e5)},
	};
	uint8_t seed[16], text[16];

	(void)state;
	for (uint8_t i = 0; i < 16; i++)
		seed[i] = text[i] = i;
	for (unsigned i = 0; i < sizeof(vectors) / sizeof(*vectors); i++)
		assert_true(name_hash(seed, text, vectors[i].len) == vectors[i].hash);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bare_name_takes_the_rhythm_of_the_server),
		cmocka_unit_test(all_options_are_read_in_any_order_and_spacing),
		cmocka_unit_test(a_name_has_1_to_128_bytes),
		cmocka_unit_test(a_name_is_printable_utf8),
		cmocka_unit_test(a_rhythm_keeps_to_the_limits_and_not_a_ms_beyond),
		cmocka_unit_test(what_is_no_duration_is_said_so),
		cmocka_unit_test(unknown_empty_and_repeated_options_are_refused),
		cmocka_unit_test(groups_and_keys_have_the_form_of_names),
		cmocka_unit_test(every_reason_has_a_word_and_a_fault),
		cmocka_unit_test(names_are_hashed_by_siphash_2_4),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
