#ifndef TESTS_ENGINE_RIG_H
#define TESTS_ENGINE_RIG_H

/*
 * An engine under test, with a worker that does what its clients tell it to, and that watches every call up.
 *
 * The engine runs in a thread of the test or in a process of its own (to be stopped, to have few descriptors). All that
 * the worker knows lies in memory that both see. The worker never fails a test by itself, for cmocka asserts on the main
 * thread only: it keeps the first thing that was wrong, and rig_close asserts that there was none.
 *
 * What clients say to the worker, byte by byte:
 *   LF  owes a line (the lines of a connection are numbered, so that none is lost or comes twice unseen)
 *   B   owes RIG_BIG_LINES lines
 *   H   hold, until rig_release
 *   C   close, with RIG_LAST as the last text
 *   D   drop
 *   G   wait at the gate, inside the call up, until rig_gate_open
 *   F   finish the engine, and close everybody
 * Any other byte is merely heard.
 *
 * The worker holds a connection that is owed more than RIG_HOLD_BYTES, and closes one whose stream has ended.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/time.h"
#include "engine/engine.h"

#define RIG_LINE_BYTES 8 /* "%07u\n" */
#define RIG_BIG_LINES 12500
#define RIG_BIG_BYTES (RIG_BIG_LINES * RIG_LINE_BYTES)
#define RIG_HOLD_BYTES 65536
#define RIG_LAST "last words\n"
#define RIG_REFUSAL "not today\n"
#define RIG_LIVES_MAX 32768
#define RIG_SLOTS_MAX 16384
#define RIG_WAIT_S 60 /* how long anything is waited for before it counts as lost */

enum rig_place {
	RIG_THREAD,  /* the engine runs in a thread of this process */
	RIG_PROCESS, /* ... in a child */
};

struct rig_options {
	enum rig_place place;
	uint32_t connections_max; /* 0: 1024 */
	uint64_t linger_ns;
	uint64_t ask_ns;      /* turned asks for a turn this often; 0: once an hour */
	int send_buffer;      /* SO_SNDBUF of the server's sockets; 0: the system's */
	int receive_buffer;   /* SO_RCVBUF; 0: the system's */
	unsigned descriptors; /* RLIMIT_NOFILE of the child; 0: as it is */
	bool at_unix;	      /* a unix socket instead of TCP */
	uint64_t toil_ns;     /* the worker takes as long for each receive */
	bool keep_ended;      /* connections whose stream has ended are not closed by the worker */
};

/* One connection, from accepted to closed and after. */
struct rig_life {
	struct connection connection;
	uint16_t port; /* the client's; 0 where it has none or it is not known */
	_Atomic bool open;
	_Atomic bool ended;	     /* the end of the stream was told */
	_Atomic bool closing;	     /* CLOSE was given */
	_Atomic bool held;	     /* HOLD was among the last duties */
	_Atomic bool stuck;	     /* H was heard */
	_Atomic bool blocked;	     /* blocked was told, and nothing sent since */
	_Atomic uint64_t heard;	     /* bytes */
	_Atomic uint64_t heard_held; /* bytes told while HOLD stood */
	_Atomic uint64_t digest;     /* of all that was heard */
	_Atomic uint64_t owed;	     /* bytes of lines, in all */
	_Atomic uint64_t last;	     /* bytes of the last text */
	_Atomic uint64_t told;	     /* bytes of both told as sent */
	_Atomic uint32_t blocks;     /* calls of blocked */
	_Atomic int end;
	_Atomic int error;
	bool dropped;
	bool asked_for; /* `received` gave SEND, and output was not asked yet */
	bool is_last_wanted;
};

/* What must have been told in the first whole turn that woke at `at` or later. Set while the engine waits at the gate. */
struct rig_demand {
	uint64_t heard;
	uint32_t accepted;
	uint32_t ended;
	const struct rig_life *life; /* and of this one */
	uint64_t life_heard;	     /* so many bytes; NULL: none */
	struct mono at;
	_Atomic bool stands;
};

struct rig {
	const struct engine_kind *kind;
	struct rig_options options;
	struct engine *engine;
	struct engine_listener listener;
	struct sockaddr_storage address;
	socklen_t address_len;
	pthread_t thread;
	pid_t child;
	int descriptors_before;
	int threads_before;

	/* What the worker knows. */
	_Atomic bool inside; /* a call up is being made */
	_Atomic bool down;   /* a call down is being made */
	bool has_woken;	     /* a turn has begun and not ended */
	struct mono now;
	struct mono asked;		     /* what turned asked for last */
	uint32_t slots[RIG_SLOTS_MAX];	     /* index of the life that is there, + 1; 0: none */
	uint32_t generations[RIG_SLOTS_MAX]; /* the last one seen there */
	struct rig_life lives[RIG_LIVES_MAX];
	_Atomic uint32_t accepted;
	_Atomic uint32_t closed;
	_Atomic uint32_t ended;
	_Atomic uint32_t refused;
	_Atomic uint32_t shed;
	_Atomic int shed_error;
	_Atomic uint64_t heard; /* bytes, of all */
	_Atomic uint64_t turns;
	_Atomic uint64_t whole;
	_Atomic uint64_t punctual; /* turns that came no sooner than the last had asked for */
	_Atomic uint64_t ask_ns;
	_Atomic int result;   /* of run; 1: it has not returned */
	_Atomic bool refuses; /* accepted returns false */
	_Atomic bool is_finished;
	_Atomic bool at_gate;
	_Atomic bool gate_is_open;
	_Atomic uint32_t pending; /* lives that have asked_for */
	struct rig_demand demand;
	void (*_Atomic order)(struct rig *rig, void *arg);
	void *order_arg;
	_Atomic bool failed;
	char failure[512];
};

/* The engine that is tested. */
extern const struct engine_kind *rig_kind;

/* Gives a rig whose engine runs. Asserts. */
struct rig *rig_open(const struct rig_options *options);

/* Finishes the engine, waits until it has ended, and asserts that nothing was wrong and that nothing is left. */
void rig_close(struct rig *rig);

/* Waits until it is true, or fails. Asserts. */
void rig_await(struct rig *rig, bool (*is_true)(struct rig *rig, uint64_t arg), uint64_t arg,
	       const char *what);
bool rig_has_accepted(struct rig *rig, uint64_t count);
bool rig_has_closed(struct rig *rig, uint64_t count);
bool rig_has_ended(struct rig *rig, uint64_t count);
bool rig_has_heard(struct rig *rig, uint64_t bytes);
bool rig_has_turned(struct rig *rig, uint64_t turns);
bool rig_is_at_gate(struct rig *rig, uint64_t ignored);

/* The life whose client has this port (the latest), or of this number in the order of accept. Waits for it. Asserts. */
struct rig_life *rig_life_of_port(struct rig *rig, uint16_t port);
struct rig_life *rig_life(struct rig *rig, uint32_t index);

/* Has the worker do something at the end of a turn, and waits until it is done. Asserts. */
void rig_do(struct rig *rig, void (*order)(struct rig *rig, void *arg), void *arg);

/* Orders. The argument of those that say so is a struct rig_life. */
void rig_order_close(struct rig *rig, void *life);
void rig_order_drop(struct rig *rig, void *life);
void rig_order_release(struct rig *rig, void *life); /* owes a line more, and holds no longer */
void rig_order_nothing(struct rig *rig, void *ignored);
void rig_order_shut_doors(struct rig *rig, void *ignored);
void rig_order_open_doors(struct rig *rig, void *ignored);
void rig_order_finish(struct rig *rig, void *ignored);

/* For orders: calls down. */
void rig_act(struct rig *rig, struct connection connection, unsigned duties);
void rig_drop(struct rig *rig, struct connection connection);
int rig_ask(struct rig *rig, struct connection connection, struct engine_view *view);
int rig_tune(struct rig *rig, struct connection connection, unsigned probe_s, unsigned give_up_ms);

void rig_gate_open(struct rig *rig);

/* From now on `heard`, `accepted` and `ended` must have been told before a turn is whole. Only while the gate is shut. */
void rig_demands(struct rig *rig, uint64_t heard, uint32_t accepted, uint32_t ended);
void rig_demands_of(struct rig *rig, const struct rig_life *life, uint64_t heard);
bool rig_demand_is_met(struct rig *rig, uint64_t ignored);

/* Keeps the first thing that was wrong. Any thread. */
void rig_fail(struct rig *rig, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The digest of bytes, begun with 0. */
uint64_t rig_digest(uint64_t digest, const char *bytes, size_t len);

/* The byte at this place of every connection's lines. */
char rig_line_byte(uint64_t offset);

#endif
