#ifndef TESTS_WIRE_CUTS_H
#define TESTS_WIRE_CUTS_H

/*
 * Ways to cut a stream into receives. Each function plays every one of them and lays it beside what the specification
 * says of it; a failure names the stream and the cuts. `script` has everything but the pieces.
 */

#include "transcript.h"

/* Every way there is: for at most CUTS_EVERY_MAX bytes. */
#define CUTS_EVERY_MAX 14
void cuts_check_every(struct script script, size_t len);

/* At every place, alone. */
void cuts_check_single(struct script script, size_t len);

/* At every two places, one of them among the first `far` bytes. */
void cuts_check_pairs(struct script script, size_t len, size_t far);

/* At every three places. */
void cuts_check_triples(struct script script, size_t len);

/* With all of the bytes in one receive, and with each byte in its own. */
void cuts_check_extremes(struct script script, size_t len);

/* One script with its pieces. */
void cuts_check(const struct script *script);

#endif
