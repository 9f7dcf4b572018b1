#ifndef BASE_UTF8_H
#define BASE_UTF8_H

/* Pure, any thread. */

#include <stdbool.h>
#include <stddef.h>

/*
 * The length of the one well-formed UTF-8 character at the start of `len` bytes, 0 where there is none.
 * No overlong forms, no surrogates, nothing beyond U+10FFFF.
 */
size_t utf8_character(const char *bytes, size_t len);

/*
 * Whether there is some of it, and all is well-formed UTF-8 with no space, control or other invisible character (C0, C1,
 * U+00A0, U+2000.., bidi controls, BOM, variation selectors, ...).
 */
bool utf8_is_printable_word(const char *bytes, size_t len);

/*
 * Writes bytes for a person's terminal: printable UTF-8 as it is, everything else escaped (\n \r \t \0 \\ \xHH).
 * Never writes beyond `size`, always ends with NUL where size > 0; what does not fit ends in "...". Returns the length.
 */
size_t utf8_escape(char *text, size_t size, const char *bytes, size_t len);

#endif
