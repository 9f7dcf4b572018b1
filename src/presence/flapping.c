/*
 * Clients that change so often that each change is no news. Of every client the times of its last flap_changes + 1
 * changes are kept, in a ring: the oldest of them says exactly whether there were too many within the window.
 */

#include "presence/directory_state.h"

static unsigned ring_len(const struct directory *directory)
{
	return directory->config.flap_changes + 1;
}

static uint64_t *ring_of(const struct directory *directory, const struct client *client)
{
	return directory->flaps + (size_t)clients_index(directory, client) * ring_len(directory);
}

/* Times are kept + 1: 0 is a change that there was not. Since the last change was put in, `flap_at` is the oldest. */
static uint64_t oldest(const struct directory *directory, const struct client *client)
{
	return ring_of(directory, client)[client->flap_at];
}

static void put(struct directory *directory, struct client *client)
{
	ring_of(directory, client)[client->flap_at] = directory_stamp_ms(directory) + 1;
	client->flap_at = (uint8_t)((client->flap_at + 1) % ring_len(directory));
}

void flapping_changed(struct directory *directory, struct client *client,
		      const struct moment *moment)
{
	uint64_t now_ms = directory_stamp_ms(directory);

	if (directory->config.flap_changes == 0)
		return;
	put(directory, client);
	if (client->flapping || oldest(directory, client) == 0 ||
	    now_ms + 1 - oldest(directory, client) >= directory->config.flap_window_ms)
		return;
	notes_add_about(directory, NOTE_FLAPPING, client, moment)->count = ring_len(directory);
	client->flapping = true;
	client->flapping_ms = now_ms;
	clients_arm(directory, client);
}

/* A whole window since it began to flap, and no more than flap_changes in the last one. */
uint64_t flapping_until_ms(const struct directory *directory, const struct client *client)
{
	uint64_t since = client->flapping_ms;

	if (oldest(directory, client) > since + 1)
		since = oldest(directory, client) - 1;
	return since + directory->config.flap_window_ms;
}

void flapping_end(struct directory *directory, struct client *client, struct mono now)
{
	struct moment moment = {client->heard, now, now};

	client->flapping = false;
	notes_add_about(directory, NOTE_STEADY, client, &moment);
}
