/* Sockets in memory. What a kernel would do is done here; what a client would do is the world's. */

#include "sim/virtual.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS_MAX 16

struct virtual_socket {
	bool waiting; /* at the listener, not accepted yet */
	bool open;    /* the server holds a descriptor of it */
	bool closed;  /* by the server */
	bool ended, told_end;
	enum virtual_end end;
	unsigned listener;
	struct sockaddr_storage peer;
	char *in; /* arrived and not received yet */
	size_t in_len, in_size;
	char *out; /* sent and not taken yet */
	size_t out_len, out_size;
	size_t room;   /* of the send buffer */
	uint32_t slot; /* of the connection */
	unsigned duties;
	bool drop;
	bool blocked;
};

struct connection_slot {
	uint32_t generation;
	uint32_t socket;
	bool live;
};

/* `struct engine` is each engine's own, so this is ours. */
struct engine {
	unsigned worker;
	struct random *random;
	virtual_view *view;
	void *world;
	const struct engine_calls *calls;
	void *up;
	struct engine_config config;
	struct engine_listener listeners[ENGINE_LISTENERS_MAX];
	struct virtual_socket *sockets;
	uint32_t sockets_count;
	struct connection_slot *slots;
	uint32_t live;
	uint32_t open_max;
	bool admits, finishing, woken, inside;
	struct mono now, wanted;
};

struct virtual_engine {
	struct engine engine;
};

static struct {
	unsigned worker;
	struct random *random;
	virtual_view *view;
	void *world;
	struct virtual_engine *engines[WORKERS_MAX];
} expected;

void virtual_expect(unsigned worker, struct random *random, virtual_view *view, void *world)
{
	assert(worker < WORKERS_MAX);
	expected.worker = worker;
	expected.random = random;
	expected.view = view;
	expected.world = world;
}

struct virtual_engine *virtual_of(unsigned worker)
{
	return expected.engines[worker];
}

static void append(char **bytes, size_t *len, size_t *size, const void *more, size_t more_len)
{
	if (*len + more_len > *size) {
		*size = (*len + more_len) * 2;
		*bytes = realloc(*bytes, *size);
		assert(*bytes != NULL);
	}
	memcpy(*bytes + *len, more, more_len);
	*len += more_len;
}

static void cut_front(char *bytes, size_t *len, size_t cut)
{
	memmove(bytes, bytes + cut, *len - cut);
	*len -= cut;
}

/* The client's side. */

uint32_t virtual_connect(struct virtual_engine *engine, unsigned listener,
			 const struct sockaddr_storage *peer)
{
	struct virtual_socket *socket;

	assert(engine->engine.sockets_count < VIRTUAL_SOCKETS);
	socket = &engine->engine.sockets[engine->engine.sockets_count];
	socket->waiting = true;
	socket->listener = listener;
	socket->peer = *peer;
	socket->room = 4096;
	return engine->engine.sockets_count++;
}

void virtual_arrive(struct virtual_engine *engine, uint32_t socket, const void *bytes, size_t len)
{
	struct virtual_socket *to = &engine->engine.sockets[socket];

	if (!to->closed && !to->ended)
		append(&to->in, &to->in_len, &to->in_size, bytes, len);
}

void virtual_end(struct virtual_engine *engine, uint32_t socket, enum virtual_end end)
{
	struct virtual_socket *of = &engine->engine.sockets[socket];

	if (of->closed || (of->ended && end == VIRTUAL_EOF))
		return;
	if (of->ended && of->end != VIRTUAL_EOF)
		return;
	/* A reset after an end of stream is one more thing to be told. */
	of->ended = true;
	of->told_end = false;
	of->end = end;
}

void virtual_room(struct virtual_engine *engine, uint32_t socket, size_t bytes)
{
	engine->engine.sockets[socket].room = bytes;
}

size_t virtual_take(struct virtual_engine *engine, uint32_t socket, char *bytes, size_t size)
{
	struct virtual_socket *from = &engine->engine.sockets[socket];
	size_t taken = from->out_len < size ? from->out_len : size;

	if (taken > 0) {
		memcpy(bytes, from->out, taken);
		cut_front(from->out, &from->out_len, taken);
	}
	return taken;
}

bool virtual_is_closed(const struct virtual_engine *engine, uint32_t socket)
{
	const struct virtual_socket *of = &engine->engine.sockets[socket];

	return of->closed && of->out_len == 0;
}

bool virtual_is_shut(const struct virtual_engine *engine, uint32_t socket)
{
	return engine->engine.sockets[socket].closed;
}

static bool has_news(const struct engine *engine, const struct virtual_socket *socket)
{
	if (socket->closed)
		return false;
	if (socket->waiting)
		return engine->admits && !engine->finishing;
	if (socket->ended && !socket->told_end && socket->end != VIRTUAL_EOF)
		return true;
	if (socket->drop || (socket->blocked && socket->room > 0))
		return true;
	if (socket->duties & (ENGINE_HOLD | ENGINE_CLOSE))
		return (socket->duties & ENGINE_CLOSE) && !socket->blocked;
	return socket->in_len > 0 || (socket->ended && !socket->told_end);
}

bool virtual_has_unheard(const struct virtual_engine *engine, uint32_t socket)
{
	const struct virtual_socket *of = &engine->engine.sockets[socket];

	return !of->closed && (of->waiting || of->in_len > 0 || (of->ended && !of->told_end));
}

void virtual_limit(struct virtual_engine *engine, uint32_t open_max)
{
	engine->engine.open_max = open_max;
}

/* The server's side. */

static struct virtual_socket *named(struct engine *engine, struct connection connection)
{
	struct connection_slot *slot = &engine->slots[connection.slot];

	assert(connection.slot < engine->config.connections_max);
	if (!slot->live || slot->generation != connection.generation)
		return NULL;
	return &engine->sockets[slot->socket];
}

static struct connection name_of(const struct engine *engine, const struct virtual_socket *socket)
{
	return (struct connection){socket->slot, engine->slots[socket->slot].generation};
}

static void close_socket(struct engine *engine, struct virtual_socket *socket, enum engine_end end,
			 int error)
{
	struct connection connection = name_of(engine, socket);

	socket->open = false;
	socket->closed = true;
	socket->in_len = 0;
	engine->live--;
	engine->calls->closed(engine->up, connection, end, error);
	engine->slots[connection.slot].live = false;
}

/* Sends what there is; a socket takes what it has room for, sometimes less. */
static void send_output(struct engine *engine, struct virtual_socket *socket)
{
	struct connection connection = name_of(engine, socket);

	while ((socket->duties & ENGINE_SEND) && !socket->drop) {
		struct engine_slice slices[ENGINE_SLICES];
		size_t count = engine->calls->output(engine->up, connection, slices), sent = 0,
		       offered = 0;

		if (count == 0) {
			socket->duties &= ~(unsigned)ENGINE_SEND;
			break;
		}
		for (size_t i = 0; i < count; i++) {
			size_t take = slices[i].len < socket->room ? slices[i].len : socket->room;

			offered += slices[i].len;
			append(&socket->out, &socket->out_len, &socket->out_size, slices[i].bytes,
			       take);
			socket->room -= take;
			sent += take;
			if (take < slices[i].len)
				break;
		}
		socket->duties = (socket->duties & ENGINE_CLOSE) |
				 engine->calls->sent(engine->up, connection, sent);
		socket->blocked = sent < offered;
		if (socket->blocked) {
			socket->duties = (socket->duties & ENGINE_CLOSE) |
					 engine->calls->blocked(engine->up, connection, 0);
			return;
		}
	}
}

static void do_duties(struct engine *engine, struct virtual_socket *socket)
{
	if (!socket->open)
		return;
	if (socket->drop) {
		close_socket(engine, socket, ENGINE_END_DROPPED, 0);
		return;
	}
	if (!socket->blocked || socket->room > 0)
		send_output(engine, socket);
	if (socket->drop)
		close_socket(engine, socket, ENGINE_END_DROPPED, 0);
	else if ((socket->duties & (ENGINE_CLOSE | ENGINE_SEND)) == ENGINE_CLOSE)
		close_socket(engine, socket, ENGINE_END_FINISHED, 0);
}

static uint32_t free_slot(struct engine *engine)
{
	uint32_t from = (uint32_t)random_below(engine->random, engine->config.connections_max);

	for (uint32_t i = 0; i < engine->config.connections_max; i++) {
		uint32_t slot = (from + i) % engine->config.connections_max;

		if (!engine->slots[slot].live)
			return slot;
	}
	return UINT32_MAX;
}

static void refuse(struct virtual_socket *socket, const struct engine_listener *listener)
{
	append(&socket->out, &socket->out_len, &socket->out_size, listener->refusal,
	       listener->refusal_len);
	socket->waiting = false;
	socket->closed = true;
}

static void let_in(struct engine *engine, uint32_t index)
{
	struct virtual_socket *socket = &engine->sockets[index];
	const struct engine_listener *listener = &engine->listeners[socket->listener];
	uint32_t slot = free_slot(engine);
	struct connection connection;

	if (engine->live >= engine->open_max || slot == UINT32_MAX) {
		refuse(socket, listener);
		engine->calls->shed(engine->up, socket->listener, EMFILE);
		return;
	}
	connection = (struct connection){slot, ++engine->slots[slot].generation};
	engine->slots[slot].live = true;
	engine->slots[slot].socket = index;
	socket->slot = slot;
	if (!engine->calls->accepted(engine->up, connection, socket->listener, &socket->peer)) {
		engine->slots[slot].live = false;
		refuse(socket, listener);
		return;
	}
	socket->waiting = false;
	socket->open = true;
	engine->live++;
}

static void receive(struct engine *engine, struct virtual_socket *socket)
{
	struct connection connection = name_of(engine, socket);

	while (socket->in_len > 0 && !(socket->duties & (ENGINE_HOLD | ENGINE_CLOSE)) &&
	       !socket->drop) {
		char bytes[ENGINE_RECEIVE_BYTES];
		size_t len = socket->in_len < sizeof(bytes) ? socket->in_len : sizeof(bytes);

		memcpy(bytes, socket->in, len);
		cut_front(socket->in, &socket->in_len, len);
		socket->duties |= engine->calls->received(engine->up, connection, bytes, len);
	}
	if (socket->in_len == 0 && socket->ended && !socket->told_end &&
	    socket->end == VIRTUAL_EOF && !(socket->duties & (ENGINE_HOLD | ENGINE_CLOSE)) &&
	    !socket->drop) {
		socket->told_end = true;
		socket->duties |= engine->calls->received(engine->up, connection, NULL, 0);
	}
}

static void tell(struct engine *engine, uint32_t index)
{
	struct virtual_socket *socket = &engine->sockets[index];

	if (socket->waiting)
		let_in(engine, index);
	if (!socket->open)
		return;
	receive(engine, socket);
	do_duties(engine, socket);
	if (socket->open && socket->ended && !socket->told_end && socket->end != VIRTUAL_EOF) {
		socket->told_end = true;
		close_socket(engine, socket,
			     socket->end == VIRTUAL_RESET ? ENGINE_END_RESET : ENGINE_END_TIMEOUT,
			     socket->end == VIRTUAL_RESET ? ECONNRESET : ETIMEDOUT);
	}
}

struct mono virtual_wants(const struct virtual_engine *of, struct mono now)
{
	const struct engine *engine = &of->engine;

	if (virtual_is_finished(of))
		return (struct mono){UINT64_MAX};
	if (engine->woken)
		return now;
	for (uint32_t i = 0; i < engine->sockets_count; i++)
		if (has_news(engine, &engine->sockets[i]))
			return now;
	return engine->wanted;
}

void virtual_turn(struct virtual_engine *of, struct mono now, bool partial)
{
	struct engine *engine = &of->engine;
	uint32_t count = engine->sockets_count;
	uint32_t from = count > 0 ? (uint32_t)random_below(engine->random, count) : 0;
	bool whole = true;

	engine->woken = false;
	engine->now = now;
	engine->calls->woke(engine->up, now);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t index = (from + i) % count;

		if (!has_news(engine, &engine->sockets[index]))
			continue;
		if (partial && random_chance(engine->random, 50))
			whole = false;
		else
			tell(engine, index);
	}
	engine->wanted = engine->calls->turned(engine->up, whole);
	for (uint32_t i = 0; i < engine->sockets_count; i++)
		do_duties(engine, &engine->sockets[i]);
	/* What was left is told soon. */
	if (!whole)
		engine->woken = true;
}

bool virtual_is_finished(const struct virtual_engine *engine)
{
	return engine->engine.finishing && engine->engine.live == 0;
}

uint32_t virtual_live(const struct virtual_engine *engine)
{
	return engine->engine.live;
}

/* The calls down. */

static int virtual_open(struct engine **engine, const struct engine_config *config,
			const struct engine_calls *calls, void *worker)
{
	struct virtual_engine *opened = calloc(1, sizeof(*opened));

	assert(opened != NULL);
	opened->engine = (struct engine){
		.worker = expected.worker,
		.random = expected.random,
		.view = expected.view,
		.world = expected.world,
		.calls = calls,
		.up = worker,
		.config = *config,
		.sockets = calloc(VIRTUAL_SOCKETS, sizeof(struct virtual_socket)),
		.slots = calloc(config->connections_max, sizeof(struct connection_slot)),
		.open_max = UINT32_MAX,
		.admits = true,
	};
	memcpy(opened->engine.listeners, config->listeners,
	       config->listeners_count * sizeof(*config->listeners));
	expected.engines[expected.worker] = opened;
	*engine = &opened->engine;
	return 0;
}

static int virtual_run(struct engine *engine)
{
	(void)engine;
	return -ENOSYS;
}

static void virtual_close(struct engine *engine)
{
	if (engine == NULL)
		return;
	for (uint32_t i = 0; i < engine->sockets_count; i++) {
		if (engine->sockets[i].open)
			close_socket(engine, &engine->sockets[i], ENGINE_END_DROPPED, 0);
		free(engine->sockets[i].in);
		free(engine->sockets[i].out);
	}
	free(engine->sockets);
	free(engine->slots);
	expected.engines[engine->worker] = NULL;
	free(engine);
}

static void virtual_wake(struct engine *engine)
{
	engine->woken = true;
}

static void virtual_admit(struct engine *engine, bool open)
{
	engine->admits = open;
}

static void virtual_finish(struct engine *engine)
{
	engine->finishing = true;
}

static void virtual_act(struct engine *engine, struct connection connection, unsigned duties)
{
	struct virtual_socket *socket = named(engine, connection);

	if (socket != NULL)
		socket->duties |= duties;
}

static void virtual_drop(struct engine *engine, struct connection connection)
{
	struct virtual_socket *socket = named(engine, connection);

	if (socket != NULL)
		socket->drop = true;
}

static int virtual_ask(struct engine *engine, struct connection connection,
		       struct engine_view *view)
{
	struct virtual_socket *socket = named(engine, connection);

	if (socket == NULL)
		return -ESTALE;
	memset(view, 0, sizeof(*view));
	engine->view(engine->world, engine->worker, (uint32_t)(socket - engine->sockets),
		     engine->now, view);
	view->unheard = socket->in_len > 0 || (socket->ended && !socket->told_end);
	return 0;
}

static int virtual_tune(struct engine *engine, struct connection connection, unsigned probe_s,
			unsigned give_up_ms)
{
	(void)probe_s;
	(void)give_up_ms;
	return named(engine, connection) != NULL ? 0 : -ESTALE;
}

const struct engine_kind engine_virtual = {
	.name = "virtual",
	.open = virtual_open,
	.run = virtual_run,
	.close = virtual_close,
	.wake = virtual_wake,
	.admit = virtual_admit,
	.finish = virtual_finish,
	.act = virtual_act,
	.drop = virtual_drop,
	.ask = virtual_ask,
	.tune = virtual_tune,
};
