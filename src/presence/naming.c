/* Reads `id NAME option=value...`, word by word. Knows nothing of who holds the name. */

#include "presence/naming.h"

#include <stdbool.h>
#include <string.h>

#include "base/duration.h"
#include "base/utf8.h"

struct word {
	const char *text;
	size_t len;
};

struct option {
	struct word key, value;
};

/* Which options were given. */
struct given {
	bool every, grace, group, key;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The next word; its length is 0 at the end. */
static struct word next_word(const char **at, const char *end)
{
	struct word word;

	while (*at < end && is_blank(**at))
		++*at;
	word = (struct word){*at, 0};
	while (*at < end && !is_blank(**at))
		++*at;
	word.len = (size_t)(*at - word.text);
	return word;
}

static bool word_is(struct word word, const char *text)
{
	return word.len == strlen(text) && memcmp(word.text, text, word.len) == 0;
}

/* Copies what has the form of a name: 1 to 128 bytes of printable UTF-8 without spaces. */
static bool read_name(char *name, uint8_t *len, struct word word)
{
	if (word.len == 0 || word.len > NAME_BYTES_MAX ||
	    !utf8_is_printable_word(word.text, word.len))
		return false;
	memcpy(name, word.text, word.len);
	name[word.len] = '\0';
	*len = (uint8_t)word.len;
	return true;
}

static enum naming_fault read_rhythm(uint64_t *ms, struct word word, uint64_t least, uint64_t most)
{
	if (!duration_read(ms, word.text, word.len))
		return NAMING_DURATION;
	return *ms < least || *ms > most ? NAMING_RANGE : NAMING_GOOD;
}

/* Marks an option as given; false where it was before. */
static bool first_time(bool *given)
{
	bool first = !*given;

	*given = true;
	return first;
}

static enum naming_fault read_option(struct naming *naming, struct given *given,
				     struct option option, const struct rhythm_limits *limits)
{
	if (option.value.len == 0)
		return NAMING_OPTION;
	if (word_is(option.key, "every") && first_time(&given->every))
		return read_rhythm(&naming->every_ms, option.value, limits->every_min_ms,
				   limits->every_max_ms);
	if (word_is(option.key, "grace") && first_time(&given->grace))
		return read_rhythm(&naming->grace_ms, option.value, limits->grace_min_ms,
				   limits->grace_max_ms);
	if (word_is(option.key, "group") && first_time(&given->group))
		return read_name(naming->group, &naming->group_len, option.value) ? NAMING_GOOD
										  : NAMING_GROUP;
	if (word_is(option.key, "key") && first_time(&given->key))
		return read_name(naming->key, &naming->key_len, option.value) ? NAMING_GOOD
									      : NAMING_KEY;
	return NAMING_OPTION;
}

/* Parts `key=value`; a value may hold further '='. */
static bool part_option(struct option *option, struct word word)
{
	const char *equals = memchr(word.text, '=', word.len);

	if (equals == NULL)
		return false;
	option->key = (struct word){word.text, (size_t)(equals - word.text)};
	option->value = (struct word){equals + 1, word.len - option->key.len - 1};
	return true;
}

enum naming_fault naming_read(struct naming *naming, const char *text, size_t len,
			      const struct rhythm_limits *limits)
{
	const char *end = text + len;
	struct given given = {false, false, false, false};
	enum naming_fault fault = NAMING_GOOD;
	struct option option;
	struct word word;

	naming->name_len = naming->group_len = naming->key_len = 0;
	naming->name[0] = naming->group[0] = naming->key[0] = '\0';
	naming->every_ms = limits->every_ms;
	naming->grace_ms = limits->grace_ms;

	next_word(&text, end); /* `id` itself */
	if (!read_name(naming->name, &naming->name_len, next_word(&text, end)))
		return NAMING_NAME;
	while (fault == NAMING_GOOD && (word = next_word(&text, end)).len > 0) {
		if (!part_option(&option, word))
			return NAMING_OPTION;
		fault = read_option(naming, &given, option, limits);
	}
	return fault;
}
