#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

/* The only readings of the machine's clocks. Any thread. */

#include "base/time.h"

struct mono clock_mono(void);
struct wall clock_wall(void);

/* Both clocks, read so close together that their difference is right to some microseconds. */
void clock_both(struct mono *mono, struct wall *wall);

#endif
