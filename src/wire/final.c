/* The last texts that a server may say. Each stands here once; docs/PROTOCOL.md lists them. */

#include "wire/final.h"

#include <assert.h>

#define NAME_RULE "1 to 128 bytes of printable UTF-8 without spaces\n"

struct text {
	const char *bytes;
	size_t len;
};

/* clang-format off */
#define TEXT(literal) {literal, sizeof(literal) - 1}
/* clang-format on */

static const struct text texts[FINAL_COUNT] = {
	[FINAL_NONE] = TEXT(""),
	[FINAL_STOP] = TEXT("stop\n"),
	[FINAL_RETRY] = TEXT("retry 5\n"),
	[FINAL_TOO_LONG] = TEXT("error message too long\n"),
	[FINAL_ID_NAME] = TEXT("error id: a name is " NAME_RULE),
	[FINAL_ID_OPTION] = TEXT("error id: unknown option, or one given twice; "
				 "there are every, grace, group and key\n"),
	[FINAL_ID_DURATION] = TEXT("error id: every and grace are durations "
				   "like 500ms, 30s, 5m or 2h\n"),
	[FINAL_ID_RANGE] = TEXT("error id: every or grace is outside of "
				"what this server allows\n"),
	[FINAL_ID_GROUP] = TEXT("error id: a group is " NAME_RULE),
	[FINAL_ID_KEY] = TEXT("error id: wrong key\n"),
	[FINAL_ID_TAKEN] = TEXT("error id: in use\n"),
	[FINAL_ID_MANY] = TEXT("error id: too many names for one connection\n"),
	[FINAL_ID_FULL] = TEXT("error id: too many names are known\n"),
};

const char *final_text(enum final final)
{
	assert(final < FINAL_COUNT);
	return texts[final].bytes;
}

size_t final_len(enum final final, bool lf)
{
	assert(final < FINAL_COUNT);
	size_t len = texts[final].len;

	return lf || len == 0 ? len : len - 1;
}
