/* Cases: turns, when they come, and what has been told by the time one is whole. */

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "cases.h"
#include "client.h"
#include "rig.h"

static void *wake_often(void *arg)
{
	struct rig *rig = arg;

	for (int i = 0; i < 20000; i++)
		rig->kind->wake(rig->engine);
	return NULL;
}

void wake_from_other_threads_leads_to_turns(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){0});
	struct client client = client_open(rig, 0);
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 100; i++) {
		uint64_t turns = rig->turns;

		rig->kind->wake(rig->engine);
		rig_await(rig, rig_has_turned, turns + 1, "a turn after wake");
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, wake_often, rig), 0);
	for (int i = 0; i < 50; i++)
		client_talk(&client);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	/* No wake was lost on the way to sleep. */
	for (int i = 0; i < 100; i++)
		rig_do(rig, rig_order_nothing, NULL);
	client_close(&client);
	rig_close(rig);
}

static void *wake_on_and_on(void *arg)
{
	struct rig *rig = arg;

	while (!rig->is_finished)
		rig->kind->wake(rig->engine);
	return NULL;
}

/* Newcomers make turns in which an engine looks more than once; a wake that comes between must not get lost. */
void no_wake_is_lost_in_a_busy_turn(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){0});
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, wake_on_and_on, rig), 0);
	for (int i = 0; i < 300; i++) {
		struct client client = client_open(rig, 0);

		client_say(&client, "\n");
		rig_do(rig, rig_order_nothing, NULL);
		client_hear_lines(&client, 1);
		client_close(&client);
	}
	rig_do(rig, rig_order_finish, NULL);
	pthread_join(thread, NULL);
	rig_close(rig);
}

static bool is_punctual(struct rig *rig, uint64_t count)
{
	return rig->punctual >= count;
}

void turns_come_when_they_were_asked_for_and_not_all_the_time(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){.ask_ns = 10 * NS_PER_MS});
	struct client client = client_open(rig, 0);
	uint64_t turns;
	uint64_t punctual;

	(void)state;
	client_talk(&client);
	turns = rig->turns;
	punctual = rig->punctual;
	rig_await(rig, is_punctual, punctual + 30, "turns come");
	/* Few come before their time. */
	assert_true(rig->turns - turns <= 3 * (rig->punctual - punctual) + 20);
	/* Now none is asked for, and nobody speaks. */
	rig->ask_ns = 3600 * NS_PER_S;
	rig_do(rig, rig_order_nothing, NULL);
	rig_do(rig, rig_order_nothing, NULL);
	turns = rig->turns;
	usleep(50 * 1000);
	assert_true(rig->turns - turns < 10);
	client_close(&client);
	rig_close(rig);
}

#define MANY 600

struct crowd {
	struct client clients[MANY];
	bool is_shut[MANY];
	struct client keeper;
	uint32_t accepted;
	uint32_t ended;
	uint64_t said;
};

static struct crowd crowd;

/* `there`: how many others there are, the keeper among them. */
static void gather(struct rig *rig, uint32_t there)
{
	crowd = (struct crowd){0};
	crowd.keeper = client_open(rig, 0);
	for (int i = 0; i < MANY; i++)
		crowd.clients[i] = client_open(rig, 0);
	crowd.accepted = there + MANY;
	rig_await(rig, rig_has_accepted, crowd.accepted, "all are accepted");
}

static void shut_gate(struct rig *rig)
{
	client_say(&crowd.keeper, "G");
	crowd.said++;
	rig_await(rig, rig_is_at_gate, 0, "the gate");
}

static void say(struct client *client, const char *text)
{
	client_say(client, text);
	crowd.said += strlen(text);
}

static void open_gate(struct rig *rig)
{
	rig_demands(rig, crowd.said, crowd.accepted, crowd.ended);
	rig_gate_open(rig);
	rig_await(rig, rig_demand_is_met, 0, "a whole turn");
}

static void scatter(struct rig *rig)
{
	for (int i = 0; i < MANY; i++)
		client_close(&crowd.clients[i]);
	client_close(&crowd.keeper);
	rig_close(rig);
}

/*
 * While the worker is kept busy inside a call up, everybody says something, much or little, and some end. In the next
 * turn that woke after all that and is whole, it must have been told.
 */
void everybody_is_heard_before_a_turn_is_whole(void **state)
{
	struct rig *rig = rig_open(
		&(struct rig_options){.ask_ns = 5 * NS_PER_MS, .linger_ns = 2 * NS_PER_MS});
	char much[20000];

	(void)state;
	memset(much, 'm', sizeof(much) - 1);
	much[sizeof(much) - 1] = '\0';
	gather(rig, 1);
	srand(11);
	for (int round = 0; round < 8; round++) {
		shut_gate(rig);
		for (int i = 0; i < MANY; i++)
			if (!crowd.is_shut[i] && (round % 2 == 0 || rand() % 4 == 0))
				say(&crowd.clients[i], rand() % 10 == 0 ? much : "x\n");
		for (int i = round; i < MANY && round % 3 == 2; i += 10) {
			if (crowd.is_shut[i])
				continue;
			client_shut(&crowd.clients[i]);
			crowd.is_shut[i] = true;
			crowd.ended++;
		}
		for (int i = 0; i < MANY; i++)
			client_await_acknowledged(&crowd.clients[i], crowd.is_shut[i]);
		open_gate(rig);
	}
	scatter(rig);
}

#define NEW 100

/* The same with newcomers, who have spoken already when they are accepted, and with some of them gone again. */
void newcomers_are_heard_before_a_turn_is_whole(void **state)
{
	struct rig *rig =
		rig_open(&(struct rig_options){.connections_max = 4096, .ask_ns = 5 * NS_PER_MS});
	struct client new[NEW];

	(void)state;
	gather(rig, 1);
	for (int round = 0; round < 5; round++) {
		shut_gate(rig);
		for (int i = 0; i < NEW; i++) {
			new[i] = client_open(rig, 0);
			say(&new[i], "hello\n");
			crowd.accepted++;
			if (i % 5 == round) {
				client_shut(&new[i]);
				crowd.ended++;
			}
		}
		for (int i = 0; i < NEW; i++)
			client_await_acknowledged(&new[i], i % 5 == round);
		for (int i = 0; i < MANY; i += 7)
			say(&crowd.clients[i], "y");
		for (int i = 0; i < MANY; i += 7)
			client_await_acknowledged(&crowd.clients[i], false);
		open_gate(rig);
		for (int i = 0; i < NEW; i++) {
			client_hear_lines(&new[i], 1);
			if (i % 5 != round)
				crowd.ended++;
			client_close(&new[i]);
		}
		rig_await(rig, rig_has_ended, crowd.ended, "the newcomers end");
	}
	scatter(rig);
}

/* Nobody else speaks meanwhile, so that nothing else makes an engine look twice. */
void few_newcomers_are_heard_before_a_turn_is_whole(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){.ask_ns = 5 * NS_PER_MS});

	(void)state;
	crowd = (struct crowd){0};
	crowd.keeper = client_open(rig, 0);
	crowd.accepted = 1;
	for (int round = 0; round < 30; round++) {
		struct client new = {0};

		shut_gate(rig);
		new = client_open(rig, 0);
		say(&new, "hello\n");
		client_await_acknowledged(&new, false);
		crowd.accepted++;
		open_gate(rig);
		client_hear_lines(&new, 1);
		client_close(&new);
		rig_await(rig, rig_has_ended, ++crowd.ended, "the newcomer ends");
	}
	client_close(&crowd.keeper);
	rig_close(rig);
}

static bool has_been_whole(struct rig *rig, uint64_t count)
{
	return rig->whole >= count;
}

/* Speaks for everybody, faster than the worker hears. Not with client.h: this is not the main thread. */
static void *chatter(void *arg)
{
	struct rig *rig = arg;

	while (!rig->is_finished) {
		for (int i = 0; i < MANY; i++) {
			char bytes[4096];

			(void)!send(crowd.clients[i].fd, "\n", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
			(void)!recv(crowd.clients[i].fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		}
	}
	return NULL;
}

/* So long for each receive that those who chatter are always faster. */
#define TOIL_NS (50 * 1000)

/* Somebody always speaks; still the dead must be judged some time. */
void turns_are_whole_now_and_then_however_busy(void **state)
{
	struct rig *rig =
		rig_open(&(struct rig_options){.ask_ns = 5 * NS_PER_MS, .toil_ns = TOIL_NS});
	pthread_t thread;

	(void)state;
	gather(rig, 1);
	assert_int_equal(pthread_create(&thread, NULL, chatter, rig), 0);
	rig_await(rig, rig_has_heard, 20000, "bytes are heard");
	for (int i = 0; i < 10; i++) {
		uint64_t whole = rig->whole;

		rig_await(rig, has_been_whole, whole + 1, "a whole turn");
	}
	rig_do(rig, rig_order_finish, NULL);
	pthread_join(thread, NULL);
	scatter(rig);
}

#define FLOOD_BYTES 700000

/* Going round once is not enough for one who has said more than is received at once. */
void a_flood_is_heard_before_a_turn_is_whole_however_busy(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){
		.ask_ns = 5 * NS_PER_MS, .toil_ns = TOIL_NS, .receive_buffer = 4 * 1024 * 1024});
	struct client client = client_open(rig, 0);
	struct rig_life *life = rig_life_of_port(rig, client.port);
	pthread_t thread;

	(void)state;
	gather(rig, 2);
	assert_int_equal(pthread_create(&thread, NULL, chatter, rig), 0);
	for (int round = 0; round < 5; round++) {
		shut_gate(rig);
		client_say_while_it_goes(&client, 'f', FLOOD_BYTES);
		rig_demands_of(rig, life, client_acknowledged(&client));
		rig_gate_open(rig);
		rig_await(rig, rig_demand_is_met, 0, "a whole turn");
	}
	rig_do(rig, rig_order_finish, NULL);
	pthread_join(thread, NULL);
	client_close(&client);
	scatter(rig);
}

/* Stopped as a whole, like a virtual machine that is paused; its clients do not know, and go on. */
void a_server_that_was_stopped_answers_everybody(void **state)
{
	struct rig *rig =
		rig_open(&(struct rig_options){.place = RIG_PROCESS, .ask_ns = 5 * NS_PER_MS});
	struct client clients[200];
	int status;

	(void)state;
	for (int i = 0; i < 200; i++) {
		clients[i] = client_open(rig, 0);
		client_talk(&clients[i]);
	}
	for (int round = 0; round < 2; round++) {
		assert_int_equal(kill(rig->child, SIGSTOP), 0);
		assert_int_equal(waitpid(rig->child, &status, WUNTRACED), rig->child);
		assert_true(WIFSTOPPED(status));
		for (int beat = 0; beat < 5; beat++) {
			for (int i = 0; i < 200; i++)
				client_say(&clients[i], "beat\n");
			usleep(200 * 1000);
		}
		assert_int_equal(kill(rig->child, SIGCONT), 0);
		for (int i = 0; i < 200; i++)
			client_hear_lines(&clients[i], 5);
	}
	assert_int_equal(rig->closed, 0);
	for (int i = 0; i < 200; i++)
		client_close(&clients[i]);
	rig_close(rig);
}
