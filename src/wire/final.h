#ifndef WIRE_FINAL_H
#define WIRE_FINAL_H

/* The last texts that a server may say before it closes. Pure, any thread. */

#include <stdbool.h>
#include <stddef.h>

enum final {
	FINAL_NONE,
	FINAL_STOP,	/* stop */
	FINAL_RETRY,	/* retry 5 */
	FINAL_TOO_LONG, /* error message too long */
	FINAL_ID_NAME,	/* error id: a name is 1 to 128 bytes of printable UTF-8 without spaces */
	FINAL_ID_OPTION, /* error id: unknown option, or one given twice; there are every, grace, group and key */
	FINAL_ID_DURATION, /* error id: every and grace are durations like 500ms, 30s, 5m or 2h */
	FINAL_ID_RANGE,	   /* error id: every or grace is outside of what this server allows */
	FINAL_ID_GROUP, /* error id: a group is 1 to 128 bytes of printable UTF-8 without spaces */
	FINAL_ID_KEY,	/* error id: wrong key */
	FINAL_ID_TAKEN, /* error id: in use */
	FINAL_ID_MANY,	/* error id: too many names for one connection */
	FINAL_ID_FULL,	/* error id: too many names are known */
	FINAL_COUNT
};

/* The text with its LF; `final_len` with `lf` false leaves the LF out. FINAL_NONE is empty. Constant memory. */
const char *final_text(enum final final);
size_t final_len(enum final final, bool lf);

#endif
