/* The groups that clients say they belong to. A group is known as long as one of its clients is. */

#include "presence/directory_state.h"

#include <string.h>

#include "presence/name_hash.h"

static uint32_t *chain_of(const struct directory *directory, uint32_t hash)
{
	return &directory->group_names[hash & directory->mask];
}

/* There are as many places as clients, so there is always one. */
static uint32_t take_place(struct directory *directory)
{
	uint32_t free = directory->groups_free;

	if (free == 0)
		return directory->groups_used++;
	directory->groups_free = directory->groups[free - 1].chain;
	return free - 1;
}

uint32_t groups_join(struct directory *directory, const char *name, size_t len)
{
	uint32_t hash = (uint32_t)name_hash(directory->config.seed, name, len);
	uint32_t *chain = chain_of(directory, hash);
	struct group *group;
	uint32_t index;

	for (index = *chain; index != 0; index = group->chain) {
		group = &directory->groups[index - 1];
		if (group->hash == hash && group->len == len &&
		    memcmp(group->name, name, len) == 0) {
			group->clients++;
			return index - 1;
		}
	}
	index = take_place(directory);
	group = &directory->groups[index];
	memset(group, 0, sizeof(*group));
	group->clients = 1;
	group->hash = hash;
	group->len = (uint8_t)len;
	memcpy(group->name, name, len);
	group->chain = *chain;
	*chain = index + 1;
	return index;
}

void groups_leave(struct directory *directory, uint32_t index)
{
	struct group *group = &directory->groups[index];
	uint32_t *link = chain_of(directory, group->hash);

	assert(group->clients > 0);
	if (--group->clients > 0)
		return;
	assert(group->tally.clients == 0 && group->tally.held == 0 && !group->tally.told);
	while (*link != index + 1)
		link = &directory->groups[*link - 1].chain;
	*link = group->chain;
	group->chain = directory->groups_free;
	directory->groups_free = index + 1;
}
