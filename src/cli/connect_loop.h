#ifndef CLI_CONNECT_LOOP_H
#define CLI_CONNECT_LOOP_H

/*
 * The loop of `lifeline connect`: one connection after another, a conversation over them, and what is shown of it. Where
 * the messages come from is the business of those who turn it: a pipe or a prompt. One thread.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/time.h"
#include "cli/connect.h"
#include "cli/connect_dial.h"
#include "cli/connect_show.h"
#include "client/backoff.h"
#include "client/client.h"

enum connect_state {
	CONNECT_DIALING,
	CONNECT_TALKING,
	CONNECT_WAITING, /* for the next attempt */
	CONNECT_OVER,
};

struct connect_loop {
	const struct connect_options *options;
	enum connect_state state;
	int status; /* once it is over: the exit status */
	int fd;
	int send_error;	  /* sending failed, errno; what has arrived is still heard */
	bool half_closed; /* we said all we had to say */
	bool troubled;	  /* a connection was lost or could not be made */
	bool refused;	  /* the server said error */
	bool asked_back;  /* the server said retry on this connection */
	bool stopped;	  /* and then stop, unasked */
	bool interrupted; /* by a signal, or because standard output is gone */
	struct mono next_attempt;
	struct mono leave_at; /* no more is waited for; UINT64_MAX for never */
	struct backoff backoff;
	struct connect_dial dial;
	struct connect_show show;
	struct client client;
};

/* 0, or -errno. Begins to connect. */
int connect_loop_init(struct connect_loop *loop, const struct connect_options *options,
		      enum connect_show_mode mode) __attribute__((warn_unused_result));

/* Shows what is left to be shown. */
void connect_loop_fini(struct connect_loop *loop);

/*
 * Waits until something happens, and does what is to be done. True where standard input is ready to be read; only
 * with `input` is it waited for.
 */
bool connect_loop_turn(struct connect_loop *loop, bool input);

/* Whether a message, however long it may be, can be said now. */
bool connect_loop_has_room(const struct connect_loop *loop);

/* Says a message; there must be room. False: it cannot be said at all, and that was shown. */
bool connect_loop_say(struct connect_loop *loop, const char *text, size_t len);

/* There is no more input. */
void connect_loop_end_input(struct connect_loop *loop);

#endif
