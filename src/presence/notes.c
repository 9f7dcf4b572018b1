/* The queue of notes, numbered in the order in which they were judged. */

#include "presence/directory_state.h"

#include <string.h>

struct note *notes_add(struct directory *directory, enum note_kind kind, struct mono judged)
{
	uint32_t at = (directory->notes_first + directory->notes_count) % NOTES_ROOM;
	struct note *note = &directory->notes[at];

	assert(directory->notes_count < NOTES_ROOM);
	directory->notes_count++;
	/* Workers read the clock each for itself: who is judged later was not judged earlier. */
	if (mono_before(directory->judged, judged))
		directory->judged = judged;
	memset(note, 0, sizeof(*note));
	note->kind = kind;
	note->sequence = ++directory->sequence;
	note->judged = directory->judged;
	note->announced = true;
	return note;
}

struct note *notes_add_about(struct directory *directory, enum note_kind kind,
			     const struct client *client, const struct moment *moment)
{
	struct note *note = notes_add(directory, kind, moment->judged);

	note->tag = client->tag;
	note->from = note->to = (enum state)client->state;
	note->reason = (enum reason)client->reason;
	note->count = client->rejoined;
	note->heard = moment->heard;
	note->happened = moment->happened;
	note->name_len = client->name_len;
	memcpy(note->name, client->name, (size_t)client->name_len + 1);
	if (client->group != GROUP_NONE) {
		const struct group *group = &directory->groups[client->group];

		note->group_len = group->len;
		memcpy(note->group, group->name, (size_t)group->len + 1);
	}
	return note;
}

const struct note *directory_take_note(struct directory *directory)
{
	const struct note *note = &directory->notes[directory->notes_first];

	if (directory->notes_count == 0)
		return NULL;
	directory->notes_first = (directory->notes_first + 1) % NOTES_ROOM;
	directory->notes_count--;
	return note;
}
