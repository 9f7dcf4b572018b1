#ifndef BASE_DURATION_H
#define BASE_DURATION_H

/* Durations as people write them: `500ms`, `30s`, `5m`, `2h`, `30d`. Pure, any thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Reads a whole number and a unit (ms, s, m, h, d) from `len` bytes. False where it is none, or beyond ten years of
 * 365 days.
 * "0" alone is allowed.
 */
bool duration_read(uint64_t *ms, const char *text, size_t len);

/*
 * Writes it exactly, with the largest unit that divides it: 90000 is "90s", none is "0s". Needs DURATION_TEXT bytes.
 * Returns text.
 */
#define DURATION_TEXT 24
const char *duration_write(char text[DURATION_TEXT], uint64_t ms);

/* Writes it for reading, rounded: "350ms", "4.2s", "3m20s", "5h12m", "12d3h"; "30s" and "5h" where nothing is left. */
const char *duration_about(char text[DURATION_TEXT], uint64_t ms);

#endif
