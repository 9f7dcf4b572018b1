/*
 * The engine for everywhere: POSIX threads and sockets. The main thread lets newcomers in and keeps the time; each
 * client has a thread of its own, with a small stack.
 *
 * All calls up are made under one lock. For a message its thread takes it once: it waits in poll, takes the lock, reads
 * the clock (`woke`), takes the bytes, tells them, copies what is to be sent, tells that as sent, gives the lock back
 * and sends. What the socket did not take it takes back (`blocked`); the main thread sends on when there is room.
 *
 *   who sends             without the lock: its own thread alone (`sending` is not QUIET meanwhile)
 *                         with the lock: anybody, while `sending` is QUIET; else it is noted for its own thread
 *   who receives          with the lock, anybody
 *   who ends it           with the lock, anybody: tells `closed`, and shuts the socket so that its thread wakes
 *   who closes it         its own thread, with the lock, when it has given the slot back: nobody else ever acts on a
 *                         descriptor that may be another's by now
 *   HOLD, ended, closing  its own thread has nothing to do and waits at a condition; the main thread watches the socket
 *                         for errors, and for room
 *
 * Hear before you bury. Bytes that somebody has taken out of the kernel and not told yet would be invisible: a server
 * that is stopped or starved in that moment would find nothing unread, and call the client silent. Therefore nobody ever
 * has bytes in hand: a thread waits for them with poll, which takes nothing, and receives only with the lock, telling
 * them before it gives the lock back. So for whoever holds the lock, what has arrived is either told or still in the
 * kernel, where poll sees it; that holds for unix sockets, too, and needs no counting of milliseconds.
 * Before a whole turn the main thread takes the lock, reads the clock, lets in all who wait, and looks at every
 * connection; what is unread it receives and tells itself. It keeps the lock from the reading of the clock to
 * `turned`, because calls up are made with ever later clocks. The look costs some 0.1 us a connection; when it takes
 * long, the next one waits for LOOK_REST times as long, so that it takes a small part of the time of everybody else.
 *
 * Fairness. A pthread mutex goes to whoever comes first, and one who has just given it back comes first again: a few
 * busy clients would keep everybody else out, and a thousand the timekeeper. So there is a gate in front of the lock.
 * Who waits behind it holds up all who come later, and gets the lock after those who are queuing already: the main
 * thread always does so, the others when they have waited for PATIENCE_NS. Without such need the lock stays a plain one,
 * because handing it from one to the next would cost a change of threads for each message.
 *
 * Between whole turns the worker is asked for its next deadline at most THREADS_TICK_NS after anything was told, for
 * that may have made an earlier one.
 */

#include "engine/threads.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/peer.h"

#define STACK_BYTES (64 * 1024)

/* ---- calls down */

static void wake_threads(struct engine *engine)
{
	if (!atomic_exchange(&engine->woken, true))
		threads_wake_main(engine);
}

static void admit_threads(struct engine *engine, bool open)
{
	engine->open = open;
	threads_poke(engine);
}

static void finish_threads(struct engine *engine)
{
	engine->is_finishing = true;
	threads_poke(engine);
}

/* NULL where the name is stale. */
static struct link *named(struct engine *engine, struct connection connection)
{
	struct link *link = links_named(&engine->links, connection);

	return link != NULL && !(link->flags & THREADS_OVER) ? link : NULL;
}

static void act_threads(struct engine *engine, struct connection connection, unsigned duties)
{
	if (named(engine, connection) != NULL)
		links_mark(&engine->links, connection.slot,
			   (duties & ENGINE_SEND ? LINK_TO_SEND : 0) |
				   (duties & ENGINE_CLOSE ? LINK_TO_CLOSE : 0));
}

static void drop_threads(struct engine *engine, struct connection connection)
{
	if (named(engine, connection) != NULL)
		links_mark(&engine->links, connection.slot, LINK_TO_DROP);
}

static int ask_threads(struct engine *engine, struct connection connection,
		       struct engine_view *view)
{
	const struct link *link = named(engine, connection);

	return link == NULL ? -ESTALE : peer_ask(link->fd, link->flags & LINK_ENDED, view);
}

static int tune_threads(struct engine *engine, struct connection connection, unsigned probe_s,
			unsigned give_up_ms)
{
	const struct link *link = named(engine, connection);

	return link == NULL ? -ESTALE : peer_tune(link->fd, probe_s, give_up_ms);
}

/* ---- life */

static void *map(size_t count, size_t size)
{
	void *memory = mmap(NULL, count * size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static size_t looks_max(const struct engine *engine)
{
	return (size_t)engine->links.max + ENGINE_LISTENERS_MAX + 1;
}

/* Unmaps what of them there is. */
static void fini_tables(struct engine *engine)
{
	if (engine->clients != NULL)
		munmap(engine->clients, engine->links.max * sizeof(*engine->clients));
	if (engine->looks != NULL)
		munmap(engine->looks, looks_max(engine) * sizeof(*engine->looks));
	if (engine->looked_at != NULL)
		munmap(engine->looked_at, looks_max(engine) * sizeof(*engine->looked_at));
	links_fini(&engine->links);
}

static int init_tables(struct engine *engine, uint32_t max)
{
	int error = links_init(&engine->links, max, engine->calls, engine->worker);

	if (error != 0)
		return error;
	engine->clients = map(max, sizeof(*engine->clients));
	engine->looks = map(looks_max(engine), sizeof(*engine->looks));
	engine->looked_at = map(looks_max(engine), sizeof(*engine->looked_at));
	if (engine->clients != NULL && engine->looks != NULL && engine->looked_at != NULL)
		return 0;
	fini_tables(engine);
	return -ENOMEM;
}

static void init_threads(struct engine *engine)
{
	pthread_mutex_init(&engine->lock, NULL);
	pthread_mutex_init(&engine->gate, NULL);
	for (int i = 0; i < THREADS_CONDITIONS; i++)
		pthread_cond_init(&engine->conditions[i], NULL);
	pthread_cond_init(&engine->all_gone, NULL);
	pthread_attr_init(&engine->attributes);
	pthread_attr_setdetachstate(&engine->attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&engine->attributes, (size_t)PTHREAD_STACK_MIN + STACK_BYTES);
}

static void fini_threads(struct engine *engine)
{
	pthread_attr_destroy(&engine->attributes);
	pthread_cond_destroy(&engine->all_gone);
	for (int i = 0; i < THREADS_CONDITIONS; i++)
		pthread_cond_destroy(&engine->conditions[i]);
	pthread_mutex_destroy(&engine->gate);
	pthread_mutex_destroy(&engine->lock);
}

static int open_waker(struct engine *engine)
{
	if (pipe(engine->waker) != 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		fcntl(engine->waker[i], F_SETFD, FD_CLOEXEC);
		fcntl(engine->waker[i], F_SETFL, O_NONBLOCK);
	}
	return 0;
}

static int open_threads(struct engine **given, const struct engine_config *config,
			const struct engine_calls *calls, void *worker)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	int error = -ENOMEM;

	if (engine == NULL)
		return error;
	engine->calls = calls;
	engine->worker = worker;
	engine->open = true;
	engine->now = clock_mono();
	engine->until = engine->now;
	engine->sleeps = (struct mono){UINT64_MAX};
	error = init_tables(engine, config->connections_max);
	if (error != 0)
		goto fail_tables;
	error = shed_init(&engine->shed, config);
	if (error != 0)
		goto fail_shed;
	error = open_waker(engine);
	if (error != 0)
		goto fail_waker;
	init_threads(engine);
	*given = engine;
	return 0;

fail_waker:
	shed_fini(&engine->shed);
fail_shed:
	fini_tables(engine);
fail_tables:
	free(engine);
	return error;
}

/* Ends all that are left, and waits for their threads. */
static void drop_all(struct engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	for (uint32_t slot = 0; slot < engine->links.used; slot++) {
		struct link *link = threads_link(engine, slot);

		if (!(link->flags & LINK_USED))
			continue;
		if (!(link->flags & THREADS_OVER))
			threads_end(engine, slot, LINK_DROPPED, false);
		shutdown(link->fd, SHUT_RDWR);
	}
	while (engine->threads > 0)
		pthread_cond_wait(&engine->all_gone, &engine->lock);
	pthread_mutex_unlock(&engine->lock);
}

static void close_threads(struct engine *engine)
{
	if (engine == NULL)
		return;
	drop_all(engine);
	fini_threads(engine);
	close(engine->waker[0]);
	close(engine->waker[1]);
	shed_fini(&engine->shed);
	fini_tables(engine);
	free(engine);
}

const struct engine_kind engine_threads = {
	.name = "threads",
	.open = open_threads,
	.run = threads_run,
	.close = close_threads,
	.wake = wake_threads,
	.admit = admit_threads,
	.finish = finish_threads,
	.act = act_threads,
	.drop = drop_threads,
	.ask = ask_threads,
	.tune = tune_threads,
};
