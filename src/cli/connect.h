#ifndef CLI_CONNECT_H
#define CLI_CONNECT_H

/* `lifeline connect`: what was asked for on its command line. */

#include <stdbool.h>
#include <stdint.h>

#include "wire/conversation.h"

/* "id NAME every=... grace=... group=... key=..." */
#define CONNECT_ID_TEXT 1024

struct connect_options {
	const char *target; /* as it was written */
	enum framing framing;
	const char *greeting, *heartbeat;
	const char *name, *group, *key; /* NULL where not given */
	char id[CONNECT_ID_TEXT];	/* the whole message; empty without a name */
	uint64_t every_ms, grace_ms;	/* 0 where not given */
	uint64_t connect_timeout_ms;
	uint64_t reply_timeout_ms; /* 0: none */
	uint64_t reconnect_max_ms;
	bool reconnect;
	bool no_stop; /* the end of input half-closes */
	bool stay;    /* the end of input ends nothing */
	bool rtt;
	bool json;
	bool quiet;
};

int connect_main(int argc, char **argv);

#endif
