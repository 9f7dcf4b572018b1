#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

/*
 * What an engine is: the only code that touches client sockets, and that reads the clock for them.
 *
 * An engine serves one worker: it accepts at the worker's listeners, receives, sends, closes, and calls up into the
 * worker with what happened. It knows nothing of messages, clients or verdicts. The contract, which tests/engine holds
 * every engine to:
 *
 * 1. Calls up are serialized per worker and never nested in one of the worker's calls down: what a call down causes is
 *    told later in the same turn, or in the next.
 * 2. Each connection for which `accepted` returned true gets exactly one `closed`, and its slot is used again only after
 *    that. A connection is named by slot and generation: calls down with a stale name do nothing.
 * 3. Hear before you bury. The clock is read once a turn, right after the wait; `woke` tells it. All that had arrived by
 *    then (newcomers at the listeners, bytes, ends) is told before `turned` is called with `whole` set. An interrupted
 *    or cut-short turn is not whole. The next wait lasts no longer than `turned` asked for.
 * 4. Closing is asynchronous and idempotent, and what is owed is sent before.
 * 5. An engine that cannot work here says so in `open` (-ENOSYS, -EPERM, ...), and the next one is taken.
 *
 * Memory: tables are sized from `connections_max` when it is opened and touched only as they fill; nothing is
 * allocated afterwards.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/time.h"

/* One receive brings at most this many bytes; raw clients' messages are one receive each. */
#define ENGINE_RECEIVE_BYTES 4096

/* A connection may be asked for output in this many pieces at once. */
#define ENGINE_SLICES 8

/* The name of a connection. The generation is never 0, so a zeroed name is stale. */
struct connection {
	uint32_t slot; /* below connections_max: the worker's tables are indexed by it */
	uint32_t generation;
};

/* Constant memory to be sent. Laid out as struct iovec is. */
struct engine_slice {
	const char *bytes;
	size_t len;
};

enum engine_end {
	ENGINE_END_FINISHED, /* closed because the worker wanted it, all output sent */
	ENGINE_END_DROPPED,  /* closed because the worker wanted it, at once */
	ENGINE_END_RESET, /* the peer reset it, or took no more while something was to be sent (ECONNRESET, EPIPE) */
	ENGINE_END_TIMEOUT, /* the kernel gave up on the peer (ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ...) */
	ENGINE_END_FAILED, /* any other error; `error` has it */
};

/* What the engine is to do with a connection after a call up; or-ed. */
enum engine_duty {
	ENGINE_SEND = 1,  /* there is output: ask `output` before the turn ends */
	ENGINE_HOLD = 2,  /* do not receive; asked anew after each `sent` */
	ENGINE_CLOSE = 4, /* once the output is sent, close; receive no more */
};

/* The calls up. `worker` is what was given to `open`. All are required. */
struct engine_calls {
	/* A turn begins: the one reading of the clock for all that is told until the next one. */
	void (*woke)(void *worker, struct mono now);
	/*
	 * A connection is there. `listener` is the index in engine_config. The peer is borrowed. Returns false to refuse:
	 * the engine then says the listener's `refusal` and closes; no `closed` follows.
	 */
	bool (*accepted)(void *worker, struct connection connection, unsigned listener,
			 const struct sockaddr_storage *peer);
	/* Bytes of one receive, borrowed; len 0 is the end of the stream, told once. Returns duties. */
	unsigned (*received)(void *worker, struct connection connection, const char *bytes,
			     size_t len);
	/* What is to be sent: up to ENGINE_SLICES pieces of constant memory. Returns how many; 0: nothing. */
	size_t (*output)(void *worker, struct connection connection,
			 struct engine_slice slices[ENGINE_SLICES]);
	/*
	 * `bytes` of the output are on their way. An engine may tell this as soon as it is certain to send them itself and
	 * then takes back, with `blocked`, what the socket did not take. Returns duties.
	 */
	unsigned (*sent)(void *worker, struct connection connection, size_t bytes);
	/*
	 * The socket takes no more for now; `unsent` bytes that were told as sent are not. Told each time that a send
	 * comes short. The engine sends on by itself when there is room. Returns duties.
	 */
	unsigned (*blocked)(void *worker, struct connection connection, size_t unsent);
	/* The connection is over; its name is stale from here on. `error` is an errno, 0 where there is none. */
	void (*closed)(void *worker, struct connection connection, enum engine_end end, int error);
	/* A newcomer was refused because the process or system had no room for it (`error`), told once for each. */
	void (*shed)(void *worker, unsigned listener, int error);
	/*
	 * Whether anybody is to be judged in this turn. An engine to which a whole turn is dear asks before it takes the
	 * trouble; where nobody is, a turn that is not whole does as well.
	 */
	bool (*judges)(void *worker);
	/*
	 * The turn is over; where `whole`, all that had arrived by `woke` has been told. The worker may judge, and call
	 * down. Returns when it wants to be called again at the latest.
	 */
	struct mono (*turned)(void *worker, bool whole);
};

struct engine_listener {
	int fd;		     /* bound and listening, non-blocking or not; the engine borrows it */
	const char *refusal; /* said to a newcomer who is refused; constant memory */
	size_t refusal_len;
};

struct engine_config {
	const struct engine_listener *listeners; /* copied */
	unsigned listeners_count;		 /* at most ENGINE_LISTENERS_MAX */
	uint32_t connections_max;
	uint64_t linger_ns; /* busy turns may wait this long to gather more; 0: never */
};

#define ENGINE_LISTENERS_MAX 16

/* What the kernel knows about a connection's peer, and what it holds that has not been told yet. */
struct engine_view {
	bool unheard;	 /* bytes or an end wait to be received: nobody is silent yet */
	bool is_tcp;	 /* the rest is known; false for unix sockets, whose peer is this host */
	bool unanswered; /* the host was asked (probe or data) and owes an answer for longer than its retransmission timeout */
	uint32_t answered_ms; /* since the last acknowledgement of any kind came in */
	uint32_t data_ms;     /* since the last byte came in, as the kernel saw it */
};

struct engine; /* each engine's own */

struct engine_kind {
	const char *name;
	/* Gives an engine, or a negative errno. Copies the configuration. `calls` is borrowed for the engine's life. */
	int (*open)(struct engine **engine, const struct engine_config *config,
		    const struct engine_calls *calls, void *worker);
	/* Turns until `finish` was called and no connection is left. 0, or a negative errno that ended it. */
	int (*run)(struct engine *engine);
	/* Ends what is left (each with its `closed`) and frees it. NULL is taken. Not while `run` runs. */
	void (*close)(struct engine *engine);

	/* Any thread: a turn is wanted soon. Cheap where one is wanted already. */
	void (*wake)(struct engine *engine);

	/* The rest is called from within calls up only (the worker's thread, or under its lock). */

	/* Newcomers are let in from now on, or wait at the listener. */
	void (*admit)(struct engine *engine, bool open);
	/* Accept no more, for good, and let `run` return once nobody is left. */
	void (*finish)(struct engine *engine);
	/* The worker has new duties for this connection: the engine will do them (ENGINE_SEND, ENGINE_CLOSE). */
	void (*act)(struct engine *engine, struct connection connection, unsigned duties);
	/* Close it now; output that was not sent is lost. */
	void (*drop)(struct engine *engine, struct connection connection);
	/* Asks the kernel. 0, or -ESTALE. */
	int (*ask)(struct engine *engine, struct connection connection, struct engine_view *view);
	/*
	 * How the kernel is to look after the peer: keepalive probes after `probe_s` of silence and each second from then
	 * on (0: as the listener has it), and give up on data unacknowledged for `give_up_ms`.
	 */
	int (*tune)(struct engine *engine, struct connection connection, unsigned probe_s,
		    unsigned give_up_ms);
};

extern const struct engine_kind engine_threads;
extern const struct engine_kind engine_epoll;
extern const struct engine_kind engine_uring;

#endif
