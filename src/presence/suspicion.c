/*
 * Mass silence: when many fall silent at once, the network between them and us is more likely gone than all of them.
 *
 * Clients that fall silent together come due one by one, over up to `every`: the first one is to be recognized though
 * the others are not due yet. By then those are late that should have spoken within the last `grace`. So of those who
 * are not suspect, each is reckoned with the share of it that is expected to speak within a grace,
 *
 *     expected = sum of min(1, grace / every)
 *     number   = suspect + (alive + late) * late / expected
 *
 * and it is the network where this number is large, and a large share of all.
 *
 * Those who fell (were judged gone by their silence, before there were enough) are reckoned as if they were there and
 * late, and fade: within a grace, or, where next to nobody is expected within a grace, within the time in which
 * EXPECTED_MIN are. So in a fleet with a short grace a partition is seen a few verdicts late, and two that die in the
 * same moment are not taken for all of it.
 *
 * One tally is kept for each group, and one for all. A partition is told once, for a group or for all, and is over when
 * nobody is suspect under its roof any more.
 */

#include "presence/directory_state.h"

#include <string.h>

/* A share of fewer, who should have spoken, says nothing: of ten, at a share of 30 %, three must be silent. */
#define EXPECTED_MIN 10

/* Whoever fell a day ago says nothing of now. */
#define FADE_MAX_MS (UINT64_C(86400) * MS_PER_S)

/* So many are silent at least, whatever share is asked for: one dies by itself, and two may have shared a host. */
#define SILENT_MIN 3

uint64_t suspicion_expected(const struct member *member)
{
	uint64_t expected;

	if (member->grace_ms >= member->every_ms)
		return ONE;
	expected = member->grace_ms * ONE / member->every_ms;
	return expected > 0 ? expected : 1;
}

static void tally_add(struct tally *tally, const struct member *member)
{
	tally->clients++;
	tally->late += member->state == STATE_LATE;
	tally->suspects += member->state == STATE_SUSPECT;
	tally->grace_ms += member->grace_ms;
	if (member->state != STATE_SUSPECT)
		tally->expected += suspicion_expected(member);
}

static void tally_remove(struct tally *tally, const struct member *member)
{
	tally->clients--;
	tally->late -= member->state == STATE_LATE;
	tally->suspects -= member->state == STATE_SUSPECT;
	tally->grace_ms -= member->grace_ms;
	if (member->state != STATE_SUSPECT)
		tally->expected -= suspicion_expected(member);
}

/* A group's tally, out of that of all or into it. */
static void tally_subtract(struct tally *tally, const struct tally *other)
{
	tally->clients -= other->clients;
	tally->late -= other->late;
	tally->suspects -= other->suspects;
	tally->grace_ms -= other->grace_ms;
	tally->expected -= other->expected;
}

static void tally_include(struct tally *tally, const struct tally *other)
{
	tally->clients += other->clients;
	tally->late += other->late;
	tally->suspects += other->suspects;
	tally->grace_ms += other->grace_ms;
	tally->expected += other->expected;
}

static struct tally *group_tally(struct directory *directory, const struct member *member)
{
	return member->group == GROUP_NONE ? NULL : &directory->groups[member->group].tally;
}

static struct tally *roof(struct directory *directory, const struct member *member)
{
	return member->scope == SCOPE_GROUP ? group_tally(directory, member) : &directory->all;
}

void suspicion_enter(struct directory *directory, const struct member *member)
{
	struct tally *group = group_tally(directory, member);

	tally_add(&directory->all, member);
	if (group != NULL) {
		tally_add(group, member);
		if (group->told)
			tally_add(&directory->explained, member);
	}
	if (member->state == STATE_SUSPECT)
		roof(directory, member)->held++;
}

/* The partition is over when nobody is held any more. */
static void one_held_less(struct directory *directory, struct tally *tally)
{
	if (--tally->held > 0)
		return;
	if (tally->told && tally != &directory->all)
		tally_subtract(&directory->explained, tally);
	tally->told = false;
}

void suspicion_leave(struct directory *directory, const struct member *member)
{
	struct tally *group = group_tally(directory, member);

	tally_remove(&directory->all, member);
	if (group != NULL) {
		tally_remove(group, member);
		if (group->told)
			tally_remove(&directory->explained, member);
	}
	if (member->state == STATE_SUSPECT)
		one_held_less(directory, roof(directory, member));
}

/* In which those who fell fade. */
static uint64_t window_ms(const struct tally *tally)
{
	uint64_t ms = tally->clients > 0 ? tally->grace_ms / tally->clients : 0;

	if (tally->expected > 0 && tally->expected < EXPECTED_MIN * ONE)
		ms = ms * EXPECTED_MIN * ONE / tally->expected;
	return ms < FADE_MAX_MS ? ms : FADE_MAX_MS;
}

static void fade(struct tally *tally, uint64_t now_ms)
{
	uint64_t passed_ms = now_ms - tally->fallen_ms;
	uint64_t within_ms = window_ms(tally);

	if (passed_ms >= within_ms)
		tally->fallen = 0;
	else
		tally->fallen -= tally->fallen * passed_ms / within_ms;
	tally->fallen_ms = now_ms;
}

static void tally_fell(struct tally *tally, uint64_t now_ms)
{
	fade(tally, now_ms);
	tally->fallen += ONE;
}

void suspicion_fell(struct directory *directory, const struct member *member)
{
	struct tally *group = group_tally(directory, member);
	uint64_t now_ms = directory_stamp_ms(directory);

	tally_fell(&directory->all, now_ms);
	if (group != NULL)
		tally_fell(group, now_ms);
}

/* The share of those who should have spoken and have not, in 1/ONE, rounded up; at most ONE. */
static uint64_t silent_share(const struct tally *tally, uint64_t others)
{
	uint64_t silent = tally->late * ONE + tally->fallen;
	uint64_t expected = tally->expected;

	if (others > 0)
		expected += expected / others * tally->fallen / ONE;
	if (expected < EXPECTED_MIN * ONE)
		expected = EXPECTED_MIN * ONE;
	return silent >= expected ? ONE : (silent * ONE + expected - 1) / expected;
}

/* How many clients of it have fallen silent, in 1/ONE. A million of each do not overflow it. */
static uint64_t silent_number(const struct tally *tally)
{
	uint64_t others = tally->clients - tally->suspects;
	uint64_t share = silent_share(tally, others);

	return tally->suspects * ONE + others * share + tally->fallen * share / ONE;
}

static bool is_suspicious(const struct directory *directory, const struct tally *tally)
{
	uint64_t seen = (tally->late + tally->suspects) * ONE + tally->fallen;
	uint64_t number = silent_number(tally);
	uint64_t all = tally->clients * ONE + tally->fallen;

	return seen >= SILENT_MIN * ONE && number >= directory->config.suspect_min * ONE &&
	       number * 100 >= directory->config.suspect_share * all;
}

/* Whether all those are suspicious too whose silence no group's partition explains; `but` is left out as well. */
static bool rest_is_suspicious(const struct directory *directory, const struct tally *but)
{
	struct tally rest = directory->all;

	rest.fallen = 0;
	tally_subtract(&rest, &directory->explained);
	if (but != NULL && !but->told)
		tally_subtract(&rest, but);
	return is_suspicious(directory, &rest);
}

static void tell(struct directory *directory, const struct member *member, struct tally *tally,
		 struct mono now)
{
	struct note *note = notes_add(directory, NOTE_PARTITION, now);

	note->happened = note->judged;
	note->count = (uint32_t)(silent_number(tally) / ONE);
	if (tally != &directory->all) {
		const struct group *group = &directory->groups[member->group];

		note->group_len = group->len;
		memcpy(note->group, group->name, (size_t)group->len + 1);
	}
}

static enum scope choose(struct directory *directory, const struct member *member)
{
	const struct tally *group = group_tally(directory, member);
	bool all_is, group_is;

	fade(&directory->all, directory_stamp_ms(directory));
	all_is = is_suspicious(directory, &directory->all);
	if (group == NULL)
		return all_is ? SCOPE_ALL : SCOPE_NONE;
	fade(group_tally(directory, member), directory_stamp_ms(directory));
	group_is = is_suspicious(directory, group);
	if (!group_is)
		return all_is ? SCOPE_ALL : SCOPE_NONE;
	/* Its group alone, unless the others are silent as well. */
	if (group->told || !all_is)
		return SCOPE_GROUP;
	return directory->all.told || rest_is_suspicious(directory, group) ? SCOPE_ALL
									   : SCOPE_GROUP;
}

enum scope suspicion_judge(struct directory *directory, const struct member *member,
			   struct mono now)
{
	enum scope scope;

	if (directory->config.suspect_share == 0)
		return SCOPE_NONE;
	scope = choose(directory, member);
	if (scope == SCOPE_GROUP) {
		struct tally *group = group_tally(directory, member);

		if (!group->told) {
			tell(directory, member, group, now);
			group->told = true;
			tally_include(&directory->explained, group);
		}
	} else if (scope == SCOPE_ALL && !directory->all.told &&
		   rest_is_suspicious(directory, NULL)) {
		tell(directory, member, &directory->all, now);
		directory->all.told = true;
	}
	return scope;
}
