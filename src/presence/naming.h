#ifndef PRESENCE_NAMING_H
#define PRESENCE_NAMING_H

/*
 * `id NAME [every=30s] [grace=15s] [group=site7] [key=...]`: the one message that means something. Pure, any thread.
 */

#include <stddef.h>
#include <stdint.h>

#include "presence/verdict.h"

/* What a client's rhythm may be, in milliseconds. */
struct rhythm_limits {
	uint64_t every_ms, grace_ms; /* unless the client says otherwise (--every, --grace) */
	uint64_t every_min_ms, every_max_ms; /* --min-every, --max-every */
	uint64_t grace_min_ms, grace_max_ms; /* --min-grace, --max-grace */
};

struct naming {
	uint8_t name_len, group_len, key_len; /* group and key: 0 where not given */
	char name[NAME_BYTES_MAX + 1];
	char group[GROUP_BYTES_MAX + 1];
	char key[KEY_BYTES_MAX + 1];
	uint64_t every_ms, grace_ms; /* the server's where not given */
};

enum naming_fault {
	NAMING_GOOD,
	NAMING_NAME,	 /* not 1 to 128 bytes of printable UTF-8 without spaces */
	NAMING_OPTION,	 /* unknown, empty, or given twice */
	NAMING_DURATION, /* not a duration */
	NAMING_RANGE,	 /* outside of the limits */
	NAMING_GROUP,	 /* as a name */
	NAMING_KEY,	 /* as a name */
};

/* Reads the text of an `id` message (without its end of line). Words are parted by spaces or tabs. */
enum naming_fault naming_read(struct naming *naming, const char *text, size_t len,
			      const struct rhythm_limits *limits);

#endif
