/*
 * The loop of a lane: wait, hear, then open clients, send what is due, and end those that are late.
 */

#include "load/lane.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"

/* Events of one wait: few enough that the clock read after it is right for all of them. */
#define EVENTS 128

/* Sends on schedule, first sends and openings of one turn, so that replies are heard in between. */
#define SENDS 128

/* The longest wait: the conductor's times are seen no later than this. */
#define WAIT_NS (5 * NS_PER_MS)

/* After the last reply, this long is listened for a surplus one. */
#define SETTLE_NS (50 * NS_PER_MS)

static void *reserve(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* The message, repeated: what a client sends at once, whatever part of a message it begins with. */
static int repeat_message(struct lane *lane)
{
	const struct literal *message = &lane->plan->message;
	size_t at_once = 65536 / message->len + 1;

	lane->messages_len = message->len * (at_once > 2 ? at_once : 2);
	lane->messages = malloc(lane->messages_len);
	if (lane->messages == NULL)
		return -ENOMEM;
	for (size_t at = 0; at < lane->messages_len; at += message->len)
		memcpy(lane->messages + at, message->bytes, message->len);
	return 0;
}

static int allocate(struct lane *lane)
{
	const struct load_plan *plan = lane->plan;
	size_t spare = plan->hello.len > plan->bye.len ? plan->hello.len : plan->bye.len;

	lane->clients = reserve(lane->count * sizeof(*lane->clients));
	lane->stamps = reserve((size_t)lane->count * plan->pipeline * sizeof(*lane->stamps));
	lane->again = malloc(lane->count * sizeof(*lane->again));
	lane->spare = malloc(spare + LITERAL_NUMBER_BYTES);
	if (lane->clients == NULL || lane->stamps == NULL || lane->again == NULL ||
	    lane->spare == NULL)
		return -ENOMEM;
	return repeat_message(lane);
}

int lane_init(struct lane *lane, const struct load_plan *plan, struct conductor *conductor,
	      uint32_t first, uint32_t count)
{
	int status;

	memset(lane, 0, sizeof(*lane));
	lane->plan = plan;
	lane->conductor = conductor;
	lane->first = first;
	lane->count = count;
	lane->limit_head = lane->limit_tail = CLIENT_END;
	tally_init(&lane->tally);
	lane->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (lane->epoll < 0)
		return -errno;
	status = allocate(lane);
	if (status < 0)
		lane_fini(lane);
	return status;
}

void lane_fini(struct lane *lane)
{
	if (lane->clients != NULL)
		munmap(lane->clients, lane->count * sizeof(*lane->clients));
	if (lane->stamps != NULL)
		munmap(lane->stamps,
		       (size_t)lane->count * lane->plan->pipeline * sizeof(*lane->stamps));
	free(lane->again);
	free(lane->spare);
	free(lane->messages);
	close(lane->epoll);
}

/* Clients that may be opened now: never so many at once that the server's backlog would overflow. */
static uint32_t openings(const struct lane *lane)
{
	uint32_t left = lane->count - lane->opened, room;

	if (lane->opening >= PLAN_OPENING_MAX || atomic_load(&lane->conductor->stop))
		return 0;
	room = PLAN_OPENING_MAX - lane->opening;
	if (lane->plan->ramp > 0) {
		uint64_t due = schedule_due(&lane->ramp, lane->now);
		uint32_t more = due > lane->opened ? (uint32_t)(due - lane->opened) : 0;

		if (more < left)
			left = more;
	}
	return left < room ? left : room;
}

static void open_more(struct lane *lane)
{
	if (lane->plan->churn ? !lane->sending : lane->begun)
		return;
	for (uint32_t count = openings(lane); count > 0; count--)
		client_open(lane, lane->opened++);
	/* Those who fail come back at once: what is on the stack now is one turn's work. */
	for (uint32_t count = lane->sending ? lane->again_count : 0; count > 0; count--) {
		if (lane->opening >= PLAN_OPENING_MAX)
			break;
		client_open(lane, lane->again[--lane->again_count]);
	}
}

static void end_late_ones(struct lane *lane)
{
	while (lane->limit_head != CLIENT_END) {
		struct client *client = &lane->clients[lane->limit_head];

		if (mono_between(client->begun, lane->now) < lane->plan->timeout_ns)
			return;
		client_fail(lane, lane->limit_head, client_lateness(client));
	}
}

/* Sends `count` messages of the schedule to a client, if it is there. */
static void send_scheduled(struct lane *lane, uint32_t index, uint32_t count)
{
	struct client *client = &lane->clients[index];

	if (client->state != CLIENT_READY) {
		lane->tally.skipped += count;
	} else if (!lane->plan->one_at_a_time) {
		client_send(lane, index, count);
	} else if (client->owed > 0 || count > 1) {
		client->waiting += count;
		if (client->owed == 0) {
			client->waiting--;
			client_send(lane, index, 1);
		}
	} else {
		client_send(lane, index, 1);
	}
}

/* Those due go round the clients; where it is so many that one would get several, it gets them in one write. */
static bool send_due(struct lane *lane)
{
	struct mono last =
		mono_before(lane->now, lane->until) ? lane->now : (struct mono){lane->until.ns - 1};
	uint64_t due = schedule_due(&lane->schedule, last);

	for (unsigned turns = 0; turns < SENDS && lane->scheduled < due; turns++) {
		uint64_t left = due - lane->scheduled;

		if (left > lane->count) {
			/* A whole round for this client, and one off for the next: the order is kept from here on. */
			uint64_t rounds = left / lane->count;

			for (uint32_t index = 0; index < lane->count; index++)
				send_scheduled(lane,
					       (uint32_t)((lane->scheduled + index) % lane->count),
					       (uint32_t)rounds);
			lane->scheduled += rounds * lane->count;
		} else {
			send_scheduled(lane, (uint32_t)(lane->scheduled % lane->count), 1);
			lane->scheduled++;
		}
	}
	return lane->scheduled < due;
}

static bool prime(struct lane *lane)
{
	for (unsigned turns = 0; turns < SENDS && lane->primed < lane->count; turns++) {
		if (lane->clients[lane->primed].state == CLIENT_READY)
			client_send(lane, lane->primed, lane->plan->pipeline);
		lane->primed++;
	}
	return lane->primed < lane->count;
}

/* Does what is due without being asked. Returns whether more of it is due at once. */
static bool act(struct lane *lane)
{
	open_more(lane);
	end_late_ones(lane);
	if (!lane->begun || lane->plan->churn)
		return false;
	if (lane->plan->rate > 0)
		return send_due(lane);
	return lane->sending && prime(lane);
}

static void begin(struct lane *lane)
{
	double share = (double)lane->count / lane->plan->clients;

	lane->begun = true;
	if (lane->plan->rate > 0)
		schedule_init(&lane->schedule, lane->conductor->start, lane->plan->rate * share);
}

static void look_at_conductor(struct lane *lane)
{
	struct conductor *conductor = lane->conductor;

	if (!atomic_load_explicit(&conductor->go, memory_order_acquire))
		return;
	lane->until.ns = atomic_load_explicit(&conductor->until_ns, memory_order_relaxed);
	if (!lane->begun && !mono_before(lane->now, conductor->start))
		begin(lane);
	lane->sending = lane->begun && mono_before(lane->now, lane->until);
	lane->recording = lane->sending && !mono_before(lane->now, conductor->from);
}

static void show(struct lane *lane)
{
	atomic_store_explicit(&lane->shown_replies, lane->tally.replies, memory_order_relaxed);
	atomic_store_explicit(&lane->shown_cycles, lane->tally.cycles, memory_order_relaxed);
	atomic_store_explicit(&lane->shown_live, lane->live, memory_order_relaxed);
	atomic_store_explicit(&lane->shown_faults, tally_faults(&lane->tally),
			      memory_order_relaxed);
	if (lane->plan->churn || (lane->opening == 0 && lane->opened == lane->count) ||
	    atomic_load_explicit(&lane->conductor->stop, memory_order_relaxed))
		atomic_store_explicit(&lane->ready, true, memory_order_release);
}

/* How long the next wait may be. */
static uint64_t patience_ns(const struct lane *lane, bool busy)
{
	uint64_t wait = WAIT_NS;

	if (busy || (lane->sending && lane->again_count > 0 && lane->opening < PLAN_OPENING_MAX))
		return 0;
	if (lane->plan->churn ? lane->sending : !lane->begun) {
		if (openings(lane) > 0)
			return 0;
	}
	if (lane->opened < lane->count && lane->plan->ramp > 0 &&
	    !atomic_load(&lane->conductor->stop)) {
		uint64_t next = mono_between(lane->now, schedule_time(&lane->ramp, lane->opened));

		if (next < wait)
			wait = next;
	}
	if (lane->sending && lane->plan->rate > 0) {
		uint64_t next =
			mono_between(clock_mono(), schedule_time(&lane->schedule, lane->scheduled));

		if (next < wait)
			wait = next;
	}
	return wait;
}

static bool turn(struct lane *lane, bool busy)
{
	struct epoll_event events[EVENTS];
	uint64_t wait = patience_ns(lane, busy);
	struct timespec patience = {.tv_nsec = (long)wait};
	int count = epoll_pwait2(lane->epoll, events, EVENTS, &patience, NULL);

	lane->now = clock_mono();
	look_at_conductor(lane);
	for (int i = 0; i < count; i++)
		client_on_event(lane, events[i].data.u32, events[i].events);
	busy = act(lane);
	show(lane);
	if (lane->on_turn != NULL)
		lane->on_turn(lane->on_turn_argument);
	return busy;
}

/* Whether nothing is to come any more, as far as we know. */
static bool is_answered(const struct lane *lane)
{
	if (lane->plan->churn)
		return lane->again_count == lane->opened;
	if (lane->tally.sent != lane->tally.replies + lane->tally.lost)
		return false;
	return lane->plan->rate <= 0 ||
	       lane->scheduled >= schedule_due(&lane->schedule, (struct mono){lane->until.ns - 1});
}

/* Whether there is nobody left to send to, or no server to connect to. */
static bool is_deserted(const struct lane *lane)
{
	if (lane->plan->churn)
		return lane->tally.connects == 0 && tally_faults(&lane->tally) >= lane->count;
	return lane->live == 0 && lane->opening == 0 && lane->opened == lane->count;
}

/* Waits for the replies that are still owed, and a moment for any that are not. */
static void drain(struct lane *lane)
{
	struct mono give_up = mono_after(lane->now, lane->plan->timeout_ns), settled;
	bool busy = false;

	while (!is_answered(lane) && mono_before(lane->now, give_up) &&
	       !atomic_load(&lane->conductor->last))
		busy = turn(lane, busy);
	settled = mono_after(lane->now, SETTLE_NS);
	while (lane->live > 0 && mono_before(lane->now, settled))
		busy = turn(lane, busy);
}

static void end_all(struct lane *lane)
{
	for (uint32_t i = 0; i < lane->opened; i++) {
		struct client *client = &lane->clients[i];

		if (client->state == CLIENT_ABSENT)
			continue;
		if (client->owed > 0 || client->waiting > 0 || client->state > CLIENT_READY)
			client_fail(lane, i, LOAD_MISSING);
		else
			close(client->fd);
	}
}

/* Each says its bye, and the server closes. */
static void part(struct lane *lane)
{
	struct mono give_up = mono_after(lane->now, lane->plan->timeout_ns);
	uint32_t at = 0;

	while ((at < lane->opened || lane->live > 0) && mono_before(lane->now, give_up)) {
		for (unsigned turns = 0; turns < SENDS && at < lane->opened; turns++, at++) {
			if (lane->clients[at].state == CLIENT_READY && lane->clients[at].owed == 0)
				client_part(lane, at);
		}
		turn(lane, at < lane->opened);
	}
}

void lane_run(struct lane *lane)
{
	bool busy = false;

	/* Timers as fine as the machine has them: the default lets each sleep of this thread last 50 us longer. */
	prctl(PR_SET_TIMERSLACK, 1UL);
	lane->now = clock_mono();
	if (lane->plan->ramp > 0)
		schedule_init(&lane->ramp, lane->now,
			      lane->plan->ramp * lane->count / lane->plan->clients);
	while (!lane->begun || lane->sending) {
		busy = turn(lane, busy);
		if (lane->begun && is_deserted(lane))
			break;
	}
	drain(lane);
	if (lane->plan->bye.bytes != NULL && !lane->plan->churn)
		part(lane);
	end_all(lane);
	show(lane);
	atomic_store_explicit(&lane->done, true, memory_order_release);
}
