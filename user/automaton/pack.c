// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "automaton/heads.h"
#include "automaton/pack.h"

/* What a group is filled up to. */
struct fill {
	uint32_t slots;
	uint32_t sinks; /* with an answer */
	uint32_t cells; /* of states that are no sinks */
	bool backward;
};

static bool has_room(const struct fill *fill, const struct automaton *automaton)
{
	uint32_t sinks = fill->sinks + automaton->sinks - 1;

	if (fill->slots == 0)
		return true;
	return fill->backward == automaton->backward && fill->slots < AUTOMATON_SLOTS &&
	       sinks <= AUTOMATON_ANSWERS &&
	       fill->cells + automaton->cells + (sinks + 1) * AUTOMATON_SINK <= AUTOMATON_CELLS;
}

static void take(struct fill *fill, const struct automaton *automaton)
{
	fill->slots++;
	fill->sinks += automaton->sinks - 1;
	fill->cells += automaton->cells;
	fill->backward = automaton->backward;
}

/* An empty group with so many sinks that have an answer. */
static void prepare(struct automaton_group *group, uint32_t sinks)
{
	group->none = sinks * AUTOMATON_SINK;
	group->backward = 0;
	memset(group->answers, 0, sizeof(group->answers));
	memset(group->classes, 0, sizeof(group->classes));
	for (uint32_t slot = 0; slot < AUTOMATON_SLOTS; slot++) {
		group->rank[slot] = AUTOMATON_NO_RANK;
		group->start[slot] = group->none;
	}
	for (uint32_t cell = 0; cell < (sinks + 1) * AUTOMATON_SINK; cell++)
		group->cells[cell] = cell / AUTOMATON_SINK * AUTOMATON_SINK;
}

/* What turns an automaton's states into those of its group. */
struct shift {
	const struct automaton *automaton;
	uint32_t none;
	uint32_t sink; /* of its first answer */
	uint32_t cell; /* of its first state that is no sink */
};

static uint32_t shifted(const struct shift *shift, uint32_t state)
{
	if (state == 0)
		return shift->none;
	if (state < shift->automaton->sinks)
		return shift->sink + (state - 1) * AUTOMATON_SINK;
	return shift->cell + (state - shift->automaton->sinks) * shift->automaton->classes;
}

/* Add an automaton to the slot behind those that are filled. */
static void place(struct automaton_group *group, const struct fill *fill,
		  const struct automaton_member *member)
{
	const struct automaton *automaton = member->automaton;
	const uint16_t *answers = member->answers ? member->answers : automaton->answers;
	const uint32_t *next = automaton->next + (size_t)automaton->sinks * automaton->classes;
	const struct shift shift = {
		.automaton = automaton,
		.none = group->none,
		.sink = fill->sinks * AUTOMATON_SINK,
		.cell = group->none + AUTOMATON_SINK + fill->cells,
	};

	group->rank[fill->slots] = member->rank;
	group->start[fill->slots] = shifted(&shift, automaton->start);
	group->backward = automaton->backward;
	for (uint32_t sink = 1; sink < automaton->sinks; sink++)
		group->answers[fill->sinks + sink - 1] = answers[sink];
	for (size_t byte = 0; byte < 256; byte++)
		group->classes[byte] |= (uint32_t)automaton->class[byte] << 8 * fill->slots;
	for (uint32_t i = 0; i < automaton->cells; i++)
		group->cells[shift.cell + i] = shifted(&shift, next[i]);
}

/* Choose the members' groups, and count what each is to be filled with. Returns how many there are. */
static size_t distribute(struct fill *fills, size_t max, struct automaton_member *members,
			 size_t count)
{
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		const struct automaton *automaton = members[i].automaton;
		size_t group = 0;

		while (group < used && !has_room(&fills[group], automaton))
			group++;
		members[i].group = group < max ? (int)group : -1;
		if (group == max)
			continue;
		members[i].slot = fills[group].slots;
		take(&fills[group], automaton);
		if (group == used)
			used++;
	}
	return used;
}

size_t automaton_pack(struct automaton_group *groups, size_t max, struct automaton_member *members,
		      size_t count)
{
	struct fill fills[AUTOMATON_GROUPS] = { { 0 } };
	size_t used;

	if (max > AUTOMATON_GROUPS)
		max = AUTOMATON_GROUPS;
	used = distribute(fills, max, members, count);
	for (size_t group = 0; group < used; group++) {
		struct fill fill = { 0 };

		prepare(&groups[group], fills[group].sinks);
		for (size_t i = 0; i < count; i++)
			if (members[i].group == (int)group) {
				place(&groups[group], &fill, &members[i]);
				take(&fill, members[i].automaton);
			}
	}
	return used;
}

/* The bit of a member that has been packed. */
static uint32_t filter_bit(const struct automaton_member *member)
{
	return member->group * AUTOMATON_SLOTS + member->slot;
}

/* Add an automaton that has `bit` in the filter. */
static void add_to_filter(struct filter *filter, const struct automaton_member *member,
			  uint32_t bit)
{
	for (size_t byte = 0; byte < 256; byte++) {
		uint8_t miss = member->automaton->miss[byte];

		for (unsigned int place = 0; place < FILTER_PLACES * filter->stride; place++) {
			uint32_t lane = bit + place % filter->stride * FILTER_AUTOMATA_HALF;

			if (!(miss >> place & 1))
				filter->miss[byte] &= ~(
					1ULL << (place / filter->stride * FILTER_AUTOMATA + lane));
		}
	}
	if (!automaton_is_spared(member->automaton))
		filter->others |= 1u << bit;
	else if (member->rank < filter->rank)
		filter->rank = member->rank;
}

/*
 * To look at every second byte spares half of the filter's time, a third of what a walk takes. With at
 * most so large a share of bytes more that pass, a URL of 100 bytes has a walk more in one of six cases.
 */
#define SHARE_MORE_MAX 0.0015

static uint32_t filter_stride(const struct automaton_member *members, size_t count)
{
	double more = 0;

	for (size_t i = 0; i < count; i++) {
		const uint8_t *miss = members[i].automaton->miss;

		if (members[i].group < 0)
			continue;
		if (filter_bit(&members[i]) >= FILTER_AUTOMATA_HALF)
			return 1;
		more += heads_share(miss, FILTER_STRIDE_MAX) - heads_share(miss, 1);
	}
	return more > SHARE_MORE_MAX ? 1 : FILTER_STRIDE_MAX;
}

void automaton_filter(struct filter *filter, const struct automaton_member *members, size_t count)
{
	*filter = (struct filter){ .rank = AUTOMATON_NO_RANK,
				   .stride = filter_stride(members, count) };
	memset(filter->miss, 0xff, sizeof(filter->miss));
	for (size_t i = 0; i < count; i++)
		if (members[i].group >= 0)
			add_to_filter(filter, &members[i], filter_bit(&members[i]));
}

size_t automaton_size(const struct automaton *automaton)
{
	return offsetof(struct automaton_group, cells) +
	       (automaton->sinks * AUTOMATON_SINK + automaton->cells) * sizeof(uint16_t);
}

struct automaton_group *automaton_single(const struct automaton *automaton)
{
	struct automaton_group *group = malloc(automaton_size(automaton));
	struct automaton_member member = { .automaton = automaton };

	if (!group)
		return NULL;
	prepare(group, automaton->sinks - 1);
	place(group, &(struct fill){ 0 }, &member);
	return group;
}

uint32_t automaton_find(const struct automaton_group *group, const char *url, size_t length)
{
	struct automaton_walk walk;
	size_t done = 0;
	bool ended;

	automaton_begin(&walk, group, AUTOMATON_ALL_SLOTS, AUTOMATON_NO_RANK);
	do {
		size_t part = length - done < ICP_WORD ? length - done : ICP_WORD;
		__u64 word = 0;

		memcpy(&word, group->backward ? url + length - done - part : url + done, part);
		word = word_little(word);
		if (group->backward)
			word = part ? __builtin_bswap64(word) >> 8 * (ICP_WORD - part) : 0;
		done += part;
		ended = automaton_step(&walk, group, word);
	} while (!ended && done < length);
	/* A NUL, unless the last word had one. */
	if (!ended)
		automaton_step(&walk, group, 0);
	return automaton_answer(&walk, group);
}
