#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

/*
 * The conversation of a client with a server, over one connection after another. The caller owns the sockets and the
 * clock: it hands in what was received and what time it is, asks what is to be sent, and takes out what happened.
 *
 * Every event is taken with client_next; while there is one, nothing more needs to be received: that is the
 * backpressure. No sockets, no clock, no files; memory is allocated once. One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/time.h"
#include "client/splitter.h"
#include "client/window.h"

/* The longest message a client sends in line, and in raw: a longer one could reach a server in two receives. */
#define CLIENT_LINE_MAX (1024 * 1024)
#define CLIENT_RAW_MAX 4096

/* The longest text of greeting, id and heartbeat. */
#define CLIENT_OWN_MAX 4096

struct client_settings {
	enum framing framing; /* line or raw */
	/* Borrowed for the client's life; NULL for none. Said first on every connection, in this order. */
	const char *greeting;
	const char *id;
	const char *heartbeat; /* what is said when nothing else was */
	uint64_t every_ns;     /* for that long; 0 for never */
	uint64_t
		reply_limit_ns; /* owed a reply, and nothing heard for that long: the server is lost; 0 for never */
};

struct client {
	struct client_settings settings;
	struct window window;
	struct splitter splitter;
	struct mono heard_at; /* when something was received */
	struct mono said_at;  /* when something was sent */
	struct mono deaf_at;  /* when the caller did not listen */
	bool connected;
	bool stopping; /* `stop` was said */
	bool silent;   /* nothing more will be said, not even `stop` */
	bool over;     /* the server said stop, or answered ours otherwise */
	bool hint;     /* CLIENT_NO_LINES is to be given out */
	bool hinted;   /* it was */
};

enum client_event_kind {
	CLIENT_REPLY,	 /* the reply to the message; with `stop` it is the last event */
	CLIENT_STOP,	 /* the server said stop unasked; the last event */
	CLIENT_RETRY,	 /* the server asks to come back after `seconds` */
	CLIENT_ERROR,	 /* the server refuses, and will close */
	CLIENT_TEXT,	 /* anything else it said */
	CLIENT_NO_LINES, /* the server answers without ends of lines: it is to be talked to in raw */
};

struct client_event {
	enum client_event_kind kind;
	const char *text; /* what the server said; borrowed until the next call */
	size_t len;
	bool more;	  /* the text goes on in the next event */
	uint32_t seconds; /* CLIENT_RETRY */
	/* CLIENT_REPLY: what it answers. The message's text is borrowed until the next call. */
	struct message message;
	const char *said;
	size_t said_len;
	uint64_t took_ns;
	bool stop; /* the reply is `stop` */
};

enum client_duty {
	CLIENT_GO_ON,
	CLIENT_GIVE_UP, /* the reply limit has passed */
};

/* 0, or -ENOMEM. */
int client_init(struct client *client, const struct client_settings *settings)
	__attribute__((warn_unused_result));
void client_fini(struct client *client);

/* A connection is there: greeting and id are said, then all that the last one left unanswered. */
void client_connected(struct client *client, struct mono now);

/* It is lost. Take what the last bytes still hold with client_next first. */
void client_disconnected(struct client *client);

/* Whether client_say would take a message of `len` bytes now. */
bool client_has_room(const struct client *client, size_t len);

/*
 * Copies a message. `stop` ends the conversation: nothing may be said after it. 0; -EAGAIN: no room now; -EMSGSIZE:
 * longer than the framing allows; -EINVAL: nothing at all in raw; -EPIPE: `stop` was said before.
 */
int client_say(struct client *client, const char *text, size_t len)
	__attribute__((warn_unused_result));

/* Says `stop` after all that was said, once. */
void client_stop(struct client *client);

/* The same, but what was not sent yet is forgotten. */
void client_stop_now(struct client *client);

/* Says nothing more, not even heartbeats; what was said is still sent and answered. */
void client_fall_silent(struct client *client);

/* How many messages have no reply yet, sent or not. */
static inline uint32_t client_unanswered(const struct client *client)
{
	return client->window.count;
}

/* How many of them were the user's own: neither id, heartbeat nor stop. */
static inline uint32_t client_unanswered_own(const struct client *client)
{
	return client->window.kinds[MESSAGE_ORDINARY] + client->window.kinds[MESSAGE_GREETING];
}

/* What is to be sent now, and that so much of it was. */
const char *client_output(const struct client *client, size_t *len);
void client_sent(struct client *client, size_t bytes, struct mono now);

/* Copies what was received, as much as there is room for (all of it once client_next has said false). */
size_t client_received(struct client *client, const char *bytes, size_t len, struct mono now);

/* The caller does not receive for the moment, so that no reply can be missed. */
void client_deaf(struct client *client, struct mono now);

/* The server's end of stream, or a reset. */
void client_ended(struct client *client);

/* Takes what happened next out. False: nothing (yet). */
bool client_next(struct client *client, struct client_event *event);

/* When client_tick wants to be called at the latest; UINT64_MAX for never. */
struct mono client_due(const struct client *client);

/*
 * Time is now. Call it only when all that had arrived by then has been handed in, so that nobody is given up who has
 * answered.
 */
enum client_duty client_tick(struct client *client, struct mono now);

#endif
