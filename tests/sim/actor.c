/* What clients do: they connect, name themselves, speak, take their replies, and break in all the ways there are. */

#include "sim/world.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <string.h>

static const char *const habits[] = {"honest", "tardy",	  "hangs", "dies", "stops",
				     "flaps",  "doubles", "roams", "deaf", "rude"};

static uint64_t some_ms(struct world *world, uint64_t from, uint64_t to)
{
	return random_between(&world->random, from, to > from ? to : from) * NS_PER_MS;
}

void actor_init(struct world *world, unsigned index)
{
	struct actor *actor = &world->actors[index];
	struct random *random = &world->random;

	actor->habit = random_chance(random, 45) ? HABIT_HONEST
						 : (enum habit)random_below(random, HABIT_COUNT);
	actor->anonymous = random_chance(random, 25);
	snprintf(actor->name, sizeof(actor->name), "c%u", index);
	if (random_chance(random, 60))
		strcpy(actor->group, random_chance(random, 50) ? "north" : "south");
	actor->every_ms = world->config.rhythm.every_ms;
	actor->grace_ms = world->config.rhythm.grace_ms;
	if (!actor->anonymous && random_chance(random, 60)) {
		actor->every_ms = random_between(random, 300, 15000);
		actor->grace_ms = random_between(random, 150, 10000);
	}
	actor->beat_ms = actor->every_ms * random_between(random, 20, 80) / 100;
	if (actor->habit == HABIT_TARDY)
		actor->beat_ms =
			actor->every_ms + actor->grace_ms * random_between(random, 10, 80) / 100;
	actor->line = -1;
	actor->next = mono_after(world->now, some_ms(world, 0, 5000));
	actor->silent_from = mono_after(world->now, some_ms(world, 2000, 60000));
	world_say(world, "%s %s%s%s every %llu grace %llu beats at %llu", actor->name,
		  habits[actor->habit], actor->anonymous ? " anonymous" : "", actor->group,
		  (unsigned long long)actor->every_ms, (unsigned long long)actor->grace_ms,
		  (unsigned long long)actor->beat_ms);
}

bool actor_is_cut(const struct world *world, const struct actor *actor, struct mono at)
{
	if (world->cut_group == NULL || !mono_before(at, world->cut_until) ||
	    mono_before(at, world->cut_from))
		return false;
	return world->cut_group[0] == '\0' || strcmp(world->cut_group, actor->group) == 0;
}

/* Bytes arrive, unless the network is cut: then nothing is said until it is mended (TCP would try again). */
static void say(struct world *world, struct line *line, const char *text, size_t len,
		unsigned messages)
{
	virtual_arrive(virtual_of(line->worker), line->socket, text, len);
	line->arrived = world->now;
	line->heard_by = (struct mono){0};
	line->messages += messages;
}

static void say_text(struct world *world, struct line *line, const char *text)
{
	say(world, line, text, strlen(text), 1);
}

static struct line *dial(struct world *world, unsigned index)
{
	struct actor *actor = &world->actors[index];
	struct line *line = &world->lines[world->lines_count];
	struct sockaddr_storage peer = {0};
	struct sockaddr_in *address = (struct sockaddr_in *)&peer;

	assert(world->lines_count < WORLD_SOCKETS_MAX);
	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(0x0a000000 + index);
	address->sin_port = htons((uint16_t)(world->lines_count + 1));
	*line = (struct line){
		.used = true,
		.worker = (unsigned)random_below(&world->random, world->workers_count),
		.client = index,
		.connected = world->now,
		.arrived = world->now,
		.took = world->now,
		.is_live = true,
	};
	line->socket = virtual_connect(virtual_of(line->worker), 0, &peer);
	actor->line = (int)world->lines_count++;
	return line;
}

static void introduce(struct world *world, unsigned index, struct line *line)
{
	struct actor *actor = &world->actors[index];
	char text[128];

	if (actor->anonymous) {
		say_text(world, line, "hello\n");
		return;
	}
	snprintf(text, sizeof(text), "id %s every=%llums grace=%llums%s%s\n", actor->name,
		 (unsigned long long)actor->every_ms, (unsigned long long)actor->grace_ms,
		 actor->group[0] != '\0' ? " group=" : "", actor->group);
	line->named = world->now;
	say_text(world, line, text);
}

static struct line *line_of(struct world *world, struct actor *actor)
{
	return actor->line < 0 ? NULL : &world->lines[actor->line];
}

static void hang_up(struct world *world, struct actor *actor, enum virtual_end end)
{
	struct line *line = line_of(world, actor);

	if (line == NULL)
		return;
	virtual_end(virtual_of(line->worker), line->socket, end);
	line->is_live = false;
	line->ended = world->now;
	actor->line = -1;
}

/* The replies are there for the taking; a deaf one does not. */
void actor_reads(struct world *world, struct line *line)
{
	static const char reply[] = "keep alive\n";
	char bytes[4096];
	size_t len;

	line->took = world->now;
	virtual_room(virtual_of(line->worker), line->socket,
		     random_between(&world->random, 1, 4096));
	while ((len = virtual_take(virtual_of(line->worker), line->socket, bytes, sizeof(bytes))) >
	       0) {
		for (size_t i = 0; i < len && !line->final; i++) {
			if (bytes[i] == reply[line->reply_bytes % (sizeof(reply) - 1)])
				line->reply_bytes++;
			else if (line->reply_bytes % (sizeof(reply) - 1) == 0)
				line->final = true;
			else
				truth_fail(world, "a reply is broken off on socket %u",
					   line->socket);
		}
	}
	if (line->reply_bytes > line->messages * (sizeof(reply) - 1))
		truth_fail(world, "more replies than messages on socket %u of worker %u",
			   line->socket, line->worker);
}

void actor_read_all(struct world *world)
{
	for (unsigned i = 0; i < world->lines_count; i++) {
		struct line *line = &world->lines[i];
		const struct actor *actor = &world->actors[line->client];

		if (line->is_live && actor->habit != HABIT_DEAF && !actor->host_dead &&
		    !actor_is_cut(world, actor, world->now))
			actor_reads(world, line);
	}
}

static void beat(struct world *world, struct actor *actor, struct line *line)
{
	if (random_chance(&world->random, 20)) {
		say(world, line, "one\ntwo\nthree\n", 14, 3);
	} else if (random_chance(&world->random, 10)) {
		/* In two pieces: the rest comes with the next one, or with the last. */
		say(world, line, "half", 4, 0);
		say(world, line, " a word\n", 8, 1);
	} else {
		say_text(world, line, "ping\n");
	}
	actor->acts++;
}

static void misbehave(struct world *world, struct actor *actor, struct line *line)
{
	char big[300];

	switch (random_below(&world->random, 4)) {
	case 0:
		memset(big, 'x', sizeof(big));
		say(world, line, big, sizeof(big), 0);
		break;
	case 1:
		say(world, line, "id not allowed=1\n", 17, 1);
		line->named = (struct mono){0};
		break;
	case 2:
		hang_up(world, actor, VIRTUAL_EOF);
		break;
	case 3:
		say(world, line, "last words", 10, 1);
		hang_up(world, actor, VIRTUAL_EOF);
		break;
	}
}

static void stop(struct world *world, struct actor *actor, struct line *line)
{
	say(world, line, "stop\n", 5, 0);
	line->said_stop = true;
	if (random_chance(&world->random, 50))
		hang_up(world, actor,
			random_chance(&world->random, 50) ? VIRTUAL_EOF : VIRTUAL_RESET);
	line->is_live = false;
	actor->line = -1;
	actor->next = mono_after(world->now, some_ms(world, 1000, 40000));
}

static void fall_silent(struct world *world, struct actor *actor)
{
	actor->is_silent = true;
	actor->host_dead = actor->habit == HABIT_DIES;
	actor->died = world->now;
	actor->next = (struct mono){UINT64_MAX};
	world_say(world, "%s falls silent%s", actor->name,
		  actor->host_dead ? " with its host" : "");
}

/* Its connection breaks. It is back at once, or later, or in the last moment in which that is no event. */
static void flap(struct world *world, struct actor *actor)
{
	uint64_t rejoin_ms = world->config.rejoin_ms;
	uint64_t away = some_ms(world, 1, random_chance(&world->random, 50) ? 300 : 20000);

	if (rejoin_ms > 5 && random_chance(&world->random, 50))
		away = rejoin_ms * NS_PER_MS - random_below(&world->random, 4 * NS_PER_MS);
	hang_up(world, actor, random_chance(&world->random, 50) ? VIRTUAL_EOF : VIRTUAL_RESET);
	actor->next = mono_after(world->now, away);
}

/* As one whose address has changed: the old session is just silent. */
static void roam(struct world *world, struct actor *actor, struct line *line)
{
	uint64_t limit_ns = (actor->every_ms + actor->grace_ms) * NS_PER_MS;

	line->is_live = false;
	actor->line = -1;
	actor->next =
		mono_after(line->arrived, limit_ns - random_below(&world->random, 3 * NS_PER_MS));
}

/* What makes it special, now and then. True where it has set its own next time. */
static bool special(struct world *world, unsigned index, struct line *line)
{
	struct actor *actor = &world->actors[index];
	bool now_and_then = actor->acts > 2 && random_chance(&world->random, 30);

	if ((actor->habit == HABIT_HANGS || actor->habit == HABIT_DIES) &&
	    !mono_before(world->now, actor->silent_from)) {
		fall_silent(world, actor);
		return true;
	}
	if (!now_and_then)
		return false;
	switch (actor->habit) {
	case HABIT_STOPS:
		stop(world, actor, line);
		return true;
	case HABIT_FLAPS:
		flap(world, actor);
		return true;
	case HABIT_DOUBLE:
		if (actor->anonymous || world->config.refuse_duplicates ||
		    world->lines_count == WORLD_SOCKETS_MAX)
			return false;
		/* The old one is left as it is: the server is to end it. */
		line->is_live = false;
		introduce(world, index, dial(world, index));
		return false;
	case HABIT_ROAMS:
		roam(world, actor, line);
		return true;
	case HABIT_RUDE:
		misbehave(world, actor, line);
		return false;
	default:
		return false;
	}
}

void actor_act(struct world *world, unsigned index)
{
	struct actor *actor = &world->actors[index];
	struct line *line = line_of(world, actor);

	if (actor_is_cut(world, actor, world->now)) {
		actor->next = mono_after(world->cut_until, some_ms(world, 1, 30));
		return;
	}
	actor_read_all(world);
	/* A client sees that its connection is over, and dials again. */
	if (line != NULL && virtual_is_closed(virtual_of(line->worker), line->socket)) {
		line->is_live = false;
		actor->line = -1;
		line = NULL;
	}
	actor->next = mono_after(world->now, actor->beat_ms * NS_PER_MS);
	if (line == NULL && world->lines_count == WORLD_SOCKETS_MAX) {
		/* One who was turned away so often gives up. */
		actor->next = (struct mono){UINT64_MAX};
		return;
	}
	if (line == NULL) {
		introduce(world, index, dial(world, index));
		return;
	}
	if (special(world, index, line))
		return;
	line = line_of(world, actor);
	if (line == NULL) {
		actor->next = mono_after(world->now, some_ms(world, 1, 10000));
		return;
	}
	if (actor->habit == HABIT_DEAF)
		for (unsigned i = 0; i < 20; i++)
			say(world, line, "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n", 20, 10);
	else
		beat(world, actor, line);
}

void actor_settle(struct world *world, unsigned index)
{
	struct actor *actor = &world->actors[index];

	if (actor->is_silent)
		return;
	actor->habit = HABIT_HONEST;
	actor->beat_ms = actor->every_ms / 2;
	actor->next = mono_earlier(actor->next, mono_after(world->now, some_ms(world, 0, 500)));
}
