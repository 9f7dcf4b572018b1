/* The shared rooms. No decision is made here. */

#include "server/house.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "server/worker.h"

#define VERDICTS_FEED_BYTES (8u << 20)
#define OWN_FEED_BYTES (64u << 10)

static void *map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int house_open(struct house *house, const struct directory_config *config, struct mono now)
{
	void *memory = map(directory_bytes(config));
	void *feed = map(VERDICTS_FEED_BYTES);
	void *own = map(OWN_FEED_BYTES);

	if (memory == NULL || feed == NULL || own == NULL)
		goto fail_memory;
	house->directory = directory_init(memory, config, now);
	house->directory_bytes = directory_bytes(config);
	feed_init(&house->verdicts, feed, VERDICTS_FEED_BYTES);
	feed_give_back(&house->verdicts);
	feed_init(&house->own, own, OWN_FEED_BYTES);
	pthread_mutex_init(&house->lock, NULL);
	sem_init(&house->console_wanted, 0, 0);
	house->hold_ms = config->suspect_hold_ms;
	house->rhythm = config->rhythm;
	return 0;

fail_memory:
	if (memory != NULL)
		munmap(memory, directory_bytes(config));
	if (feed != NULL)
		munmap(feed, VERDICTS_FEED_BYTES);
	if (own != NULL)
		munmap(own, OWN_FEED_BYTES);
	return -ENOMEM;
}

void house_close(struct house *house)
{
	sem_destroy(&house->console_wanted);
	pthread_mutex_destroy(&house->lock);
	munmap(house->verdicts.memory, VERDICTS_FEED_BYTES);
	munmap(house->own.memory, OWN_FEED_BYTES);
	munmap(house->directory, house->directory_bytes);
}

void house_lock(struct house *house)
{
	pthread_mutex_lock(&house->lock);
}

/* Names and groups are as long as they are: most notes need a fifth of the whole struct. */
static void put_note(struct house *house, const struct note *note)
{
	char words[NAME_BYTES_MAX + GROUP_BYTES_MAX];

	memcpy(words, note->name, note->name_len);
	memcpy(words + note->name_len, note->group, note->group_len);
	feed_put(&house->verdicts, note, offsetof(struct note, name), words,
		 (size_t)note->name_len + note->group_len);
}

bool house_take_note(struct house *house, struct note *note)
{
	struct {
		char fixed[offsetof(struct note, name)];
		char words[NAME_BYTES_MAX + GROUP_BYTES_MAX];
	} record;

	if (feed_take(&house->verdicts, &record, sizeof(record)) == 0)
		return false;
	memset(note, 0, sizeof(*note));
	memcpy(note, record.fixed, sizeof(record.fixed));
	memcpy(note->name, record.words, note->name_len);
	memcpy(note->group, record.words + note->name_len, note->group_len);
	return true;
}

void house_unlock(struct house *house)
{
	const struct note *note;
	bool told = false;

	while ((note = directory_take_note(house->directory)) != NULL) {
		put_note(house, note);
		told = true;
	}
	pthread_mutex_unlock(&house->lock);
	if (told)
		house_tell(house);
}

void house_tell(struct house *house)
{
	/* What was put into a feed is to be seen by a console that is not seen to sleep: see its run(). */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&house->console_sleeps, memory_order_relaxed) &&
	    atomic_exchange(&house->console_sleeps, false))
		sem_post(&house->console_wanted);
}

void house_drain(struct house *house, struct mono until)
{
	atomic_store(&house->drain_until, until.ns);
	for (unsigned i = 0; i < house->workers_count; i++)
		worker_wake(house->workers[i]);
}
