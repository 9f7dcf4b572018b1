/* Reads escapes. What is not known as one is an error: a typing mistake must not become a message. */

#include "load/literal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Reads what follows a backslash into `*byte`. Returns how many characters it was, or 0. */
static size_t read_escape(char *byte, const char *text)
{
	static const char names[] = "nrt0\\", bytes[] = "\n\r\t\0\\";
	const char *known = *text != '\0' ? strchr(names, *text) : NULL;

	if (known != NULL) {
		*byte = bytes[known - names];
		return 1;
	}
	if (text[0] != 'x' || hex_digit(text[1]) < 0 || hex_digit(text[2]) < 0)
		return 0;
	*byte = (char)(hex_digit(text[1]) * 16 + hex_digit(text[2]));
	return 3;
}

static int read_all(struct literal *literal, const char *text)
{
	while (*text != '\0') {
		size_t escape;

		if (*text != '\\') {
			literal->bytes[literal->len++] = *text++;
			continue;
		}
		text++;
		if (*text == '#' && literal->number_at == LITERAL_NO_NUMBER) {
			literal->number_at = literal->len;
			text++;
			continue;
		}
		escape = read_escape(&literal->bytes[literal->len], text);
		if (escape == 0)
			return -EINVAL;
		literal->len++;
		text += escape;
	}
	return 0;
}

int literal_read(struct literal *literal, const char *text, const char *end)
{
	int status;

	*literal = (struct literal){.number_at = LITERAL_NO_NUMBER};
	literal->bytes = malloc(strlen(text) + strlen(end) + 1);
	if (literal->bytes == NULL)
		return -ENOMEM;
	status = read_all(literal, text);
	if (status < 0) {
		literal_fini(literal);
		return status;
	}
	memcpy(literal->bytes + literal->len, end, strlen(end));
	literal->len += strlen(end);
	return 0;
}

void literal_fini(struct literal *literal)
{
	free(literal->bytes);
	*literal = (struct literal){.number_at = LITERAL_NO_NUMBER};
}

size_t literal_fill(const struct literal *literal, char *to, uint32_t number)
{
	char digits[LITERAL_NUMBER_BYTES + 1];
	size_t before = literal->number_at, count;

	if (before == LITERAL_NO_NUMBER) {
		memcpy(to, literal->bytes, literal->len);
		return literal->len;
	}
	count = (size_t)snprintf(digits, sizeof(digits), "%u", number);
	memcpy(to, literal->bytes, before);
	memcpy(to + before, digits, count);
	memcpy(to + before + count, literal->bytes + before, literal->len - before);
	return literal->len + count;
}
