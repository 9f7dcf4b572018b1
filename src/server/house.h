#ifndef SERVER_HOUSE_H
#define SERVER_HOUSE_H

/*
 * What all workers share: the directory and its lock, the verdicts on their way to the console, and how many are in.
 * The lock is taken only when a session begins, names itself, changes state or ends, and once a turn.
 */

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/feed.h"
#include "base/time.h"
#include "presence/directory.h"

struct worker;

struct house {
	pthread_mutex_t lock;
	struct directory *directory;
	size_t directory_bytes;
	struct feed verdicts; /* notes, by house_take_note; written under the lock */
	struct feed own;      /* struct event; written by the main thread */
	struct worker **workers;
	unsigned workers_count;

	uint32_t clients_max;
	uint32_t message_max;
	uint64_t send_timeout_ms;
	uint64_t hold_ms; /* --suspect-hold */
	bool show_messages;
	struct rhythm_limits rhythm;

	_Atomic uint32_t clients;      /* connections let in */
	_Atomic uint64_t drain_until;  /* machine time, ns; 0: not draining */
	_Atomic uint32_t doors_closed; /* workers that let nobody in any more */
	_Atomic bool failed;	       /* a worker has ended by an error */
	_Atomic bool console_sleeps;
	sem_t console_wanted;
};

/* The directory, as large as its configuration asks for. 0 or a negative errno. Workers are added by their owner. */
int house_open(struct house *house, const struct directory_config *config, struct mono now);
void house_close(struct house *house);

/* Takes the lock of the directory; and gives it back, with all notes that came to be passed on to the console. */
void house_lock(struct house *house);
void house_unlock(struct house *house);

/* The oldest verdict that was not taken yet. False: there is none. One reader. */
bool house_take_note(struct house *house, struct note *note);

/* The console has something to read. Cheap where it is awake. */
void house_tell(struct house *house);

/* Everybody is to be out by then; workers see it in their next turn. */
void house_drain(struct house *house, struct mono until);

#endif
