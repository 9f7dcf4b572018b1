/* Durations as people write and read them. A day is 24 hours, a year 365 days. */

#include "base/duration.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define LONGEST (10 * 365 * DAY)

struct unit {
	const char *name;
	uint64_t ms;
};

/* The largest first. */
static const struct unit units[] = {
	{"d", DAY}, {"h", HOUR}, {"m", MINUTE}, {"s", SECOND}, {"ms", 1},
};
#define UNITS (sizeof(units) / sizeof(units[0]))

static const struct unit *unit_named(const char *name, size_t len)
{
	for (size_t i = 0; i < UNITS; i++)
		if (strlen(units[i].name) == len && memcmp(units[i].name, name, len) == 0)
			return &units[i];
	return NULL;
}

bool duration_read(uint64_t *ms, const char *text, size_t len)
{
	uint64_t number = 0;
	size_t digits = 0;

	for (; digits < len && text[digits] >= '0' && text[digits] <= '9'; digits++) {
		number = number * 10 + (uint64_t)(text[digits] - '0');
		if (number > LONGEST)
			return false;
	}
	if (digits == 0)
		return false;
	if (len == 1 && number == 0) {
		*ms = 0;
		return true;
	}
	const struct unit *unit = unit_named(text + digits, len - digits);

	if (unit == NULL || number > LONGEST / unit->ms)
		return false;
	*ms = number * unit->ms;
	return true;
}

const char *duration_write(char text[DURATION_TEXT], uint64_t ms)
{
	size_t i = 0;

	if (ms == 0)
		return strcpy(text, "0s");
	while (ms % units[i].ms != 0)
		i++;
	snprintf(text, DURATION_TEXT, "%" PRIu64 "%s", ms / units[i].ms, units[i].name);
	return text;
}

static uint64_t rounded(uint64_t ms, uint64_t unit)
{
	return ms / unit + (ms % unit >= (unit + 1) / 2 && unit > 1);
}

/* `small` of them make one large one: 200 with 60 "m" "s" is "3m20s", 180 is "3m". */
static const char *write_two(char text[DURATION_TEXT], uint64_t count, uint64_t small,
			     const char *large_name, const char *small_name)
{
	int len = snprintf(text, DURATION_TEXT, "%" PRIu64 "%s", count / small, large_name);

	assert(len > 0 && len < DURATION_TEXT);
	if (count % small != 0)
		snprintf(text + len, (size_t)(DURATION_TEXT - len), "%" PRIu64 "%s", count % small,
			 small_name);
	return text;
}

/* Rounded before it is compared: 59.97 seconds are "1m", not "60.0s". */
const char *duration_about(char text[DURATION_TEXT], uint64_t ms)
{
	uint64_t tenths = rounded(ms, SECOND / 10);

	if (ms == 0)
		return strcpy(text, "0s");
	if (ms < SECOND)
		snprintf(text, DURATION_TEXT, "%" PRIu64 "ms", ms);
	else if (tenths < 600 && tenths % 10 == 0)
		snprintf(text, DURATION_TEXT, "%" PRIu64 "s", tenths / 10);
	else if (tenths < 600)
		snprintf(text, DURATION_TEXT, "%" PRIu64 ".%" PRIu64 "s", tenths / 10, tenths % 10);
	else if (rounded(ms, SECOND) < HOUR / SECOND)
		write_two(text, rounded(ms, SECOND), 60, "m", "s");
	else if (rounded(ms, MINUTE) < DAY / MINUTE)
		write_two(text, rounded(ms, MINUTE), 60, "h", "m");
	else
		write_two(text, rounded(ms, HOUR), 24, "d", "h");
	return text;
}
