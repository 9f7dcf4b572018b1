#ifndef SERVER_MAILBOX_H
#define SERVER_MAILBOX_H

/*
 * Where other workers say that a session of this one has been displaced by a newer one of theirs. Each slot has one
 * place: of two generations the newer one stays, for the older is stale by then. So it is never full.
 *
 * Any thread may post; the worker takes.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct mailbox {
	pthread_mutex_t lock;
	_Atomic bool any;
	uint32_t count;
	uint32_t first; /* slot; MAILBOX_END: none */
	struct mailbox_place {
		uint32_t
			next; /* MAILBOX_END: the last; 0: not in the list (they are numbered from 1) */
		uint32_t generation;
	} * places;
};

#define MAILBOX_END UINT32_MAX

/* 0 or a negative errno. */
int mailbox_open(struct mailbox *mailbox, uint32_t slots);
void mailbox_close(struct mailbox *mailbox);
void mailbox_post(struct mailbox *mailbox, uint32_t slot, uint32_t generation);

/* False where there is none. */
bool mailbox_take(struct mailbox *mailbox, uint32_t *slot, uint32_t *generation);

#endif
