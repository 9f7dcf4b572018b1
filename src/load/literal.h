#ifndef LOAD_LITERAL_H
#define LOAD_LITERAL_H

/*
 * Bytes as people write them on a command line: text, and \n \r \t \0 \\ \xHH for what cannot be typed.
 * `\#` stands for a number that is filled in later (literal_fill). Pure, any thread.
 */

#include <stddef.h>
#include <stdint.h>

struct literal {
	char *bytes; /* allocated; NULL: none was given */
	size_t len;
	size_t number_at; /* where the number goes in; LITERAL_NO_NUMBER: nowhere */
};

#define LITERAL_NO_NUMBER SIZE_MAX
#define LITERAL_NUMBER_BYTES 20

/* Reads `text` and adds `end` to it. 0, -EINVAL (a bad escape, or more than one `\#`), or -ENOMEM. */
int literal_read(struct literal *literal, const char *text, const char *end)
	__attribute__((warn_unused_result));
void literal_fini(struct literal *literal);

/* Writes it with its number to `to`, which has room for len + LITERAL_NUMBER_BYTES. Returns the length. */
size_t literal_fill(const struct literal *literal, char *to, uint32_t number);

#endif
