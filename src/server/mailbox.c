/* A list through an array, under a lock that nobody holds for long. */

#include "server/mailbox.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

int mailbox_open(struct mailbox *mailbox, uint32_t slots)
{
	size_t bytes = slots * sizeof(*mailbox->places);

	mailbox->places = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mailbox->places == MAP_FAILED)
		return -errno;
	mailbox->count = slots;
	mailbox->first = MAILBOX_END;
	atomic_init(&mailbox->any, false);
	pthread_mutex_init(&mailbox->lock, NULL);
	return 0;
}

void mailbox_close(struct mailbox *mailbox)
{
	pthread_mutex_destroy(&mailbox->lock);
	munmap(mailbox->places, mailbox->count * sizeof(*mailbox->places));
}

void mailbox_post(struct mailbox *mailbox, uint32_t slot, uint32_t generation)
{
	struct mailbox_place *place = &mailbox->places[slot];

	pthread_mutex_lock(&mailbox->lock);
	/* Whoever has displaced an older one may come to say so only now. */
	if (place->next == 0 || (int32_t)(generation - place->generation) > 0)
		place->generation = generation;
	if (place->next == 0) {
		place->next = mailbox->first;
		mailbox->first = slot + 1;
	}
	atomic_store(&mailbox->any, true);
	pthread_mutex_unlock(&mailbox->lock);
}

bool mailbox_take(struct mailbox *mailbox, uint32_t *slot, uint32_t *generation)
{
	bool taken = false;

	if (!atomic_load(&mailbox->any))
		return false;
	pthread_mutex_lock(&mailbox->lock);
	if (mailbox->first != MAILBOX_END) {
		struct mailbox_place *place = &mailbox->places[mailbox->first - 1];

		*slot = mailbox->first - 1;
		*generation = place->generation;
		mailbox->first = place->next;
		place->next = 0;
		taken = true;
	}
	if (mailbox->first == MAILBOX_END)
		atomic_store(&mailbox->any, false);
	pthread_mutex_unlock(&mailbox->lock);
	return taken;
}
