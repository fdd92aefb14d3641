// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Minimisation (Hopcroft, 1971). The states are divided into blocks of those that have not been found
 * to differ: at first by the answer if the URL ended here. As long as a byte leads from some states of
 * a block into a block B and from others elsewhere, the block is split. When a block that has not yet
 * served as B is split, both parts have to; otherwise the smaller is enough, since what leads to the
 * larger follows from what led to both. So a state serves at most log n times, and all takes
 * classes * n * log n steps.
 *
 * States from which each way leads to the same answer end up in the block of its sink: the walk
 * knows a proven answer, or that there cannot be one any more, at the first byte that makes it so.
 */
#include <stdlib.h>
#include <string.h>

#include "automaton/dfa.h"

struct block {
	uint32_t first, count; /* in order */
	uint32_t marked;       /* the first so many of them are to be split off */
	bool waiting;
};

struct partition {
	const struct dfa *dfa;
	uint32_t *order; /* states, by block */
	uint32_t *place; /* of each state in order */
	uint32_t *block; /* of each state */
	struct block *blocks;
	uint32_t count;
	uint32_t *waiting, waiting_count; /* blocks */
	uint32_t *touched, touched_count;
	uint32_t *members;
	uint32_t *first,
		*sources; /* states that a class leads from to a state: class * states + state */
};

static void wait(struct partition *partition, uint32_t block)
{
	partition->blocks[block].waiting = true;
	partition->waiting[partition->waiting_count++] = block;
}

/* Move a state to the marked ones of its block. */
static void mark(struct partition *partition, uint32_t state)
{
	uint32_t number = partition->block[state];
	struct block *block = &partition->blocks[number];
	uint32_t to = block->first + block->marked;
	uint32_t from = partition->place[state];

	if (from < to)
		return;
	partition->order[from] = partition->order[to];
	partition->place[partition->order[from]] = from;
	partition->order[to] = state;
	partition->place[state] = to;
	if (block->marked++ == 0)
		partition->touched[partition->touched_count++] = number;
}

/* Split the marked states off. */
static void split(struct partition *partition, uint32_t number)
{
	struct block *block = &partition->blocks[number];
	struct block *part = &partition->blocks[partition->count];

	if (block->marked == block->count) {
		block->marked = 0;
		return;
	}
	*part = (struct block){ block->first, block->marked, 0, false };
	block->first += part->count;
	block->count -= part->count;
	block->marked = 0;
	for (uint32_t i = 0; i < part->count; i++)
		partition->block[partition->order[part->first + i]] = partition->count;
	if (block->waiting || part->count <= block->count)
		wait(partition, partition->count);
	else
		wait(partition, number);
	partition->count++;
}

static void split_touched(struct partition *partition)
{
	for (uint32_t i = 0; i < partition->touched_count; i++)
		split(partition, partition->touched[i]);
	partition->touched_count = 0;
}

/* Begin with a block for each answer if the URL ended. */
static void divide_by_answer(struct partition *partition)
{
	const struct dfa *dfa = partition->dfa;

	partition->blocks[0] = (struct block){ 0, dfa->states, 0, false };
	partition->count = 1;
	for (uint32_t state = 0; state < dfa->states; state++)
		partition->order[state] = partition->place[state] = state;
	wait(partition, 0);
	for (uint32_t sink = 1; sink < dfa->sinks; sink++) {
		for (uint32_t state = 0; state < dfa->states; state++)
			if (dfa->next[(size_t)state * dfa->classes + NFA_CLASS_END] == sink)
				mark(partition, state);
		split_touched(partition);
	}
}

static void find_sources(struct partition *partition)
{
	const struct dfa *dfa = partition->dfa;
	size_t cells = (size_t)dfa->states * dfa->classes, sum = 0;

	for (uint32_t state = 0; state < dfa->states; state++)
		for (uint32_t class = 0; class < dfa->classes; class ++)
			partition->first[(size_t) class * dfa->states +
					 dfa->next[(size_t)state * dfa->classes + class]]++;
	for (size_t i = 0; i < cells; i++) {
		sum += partition->first[i];
		partition->first[i] = sum;
	}
	partition->first[cells] = sum;
	for (uint32_t state = 0; state < dfa->states; state++)
		for (uint32_t class = 0; class < dfa->classes; class ++) {
			size_t to = (size_t) class * dfa->states +
				    dfa->next[(size_t)state * dfa->classes + class];

			partition->sources[--partition->first[to]] = state;
		}
}

static void refine(struct partition *partition)
{
	const struct dfa *dfa = partition->dfa;

	while (partition->waiting_count) {
		struct block *block =
			&partition->blocks[partition->waiting[--partition->waiting_count]];
		uint32_t count = block->count;

		block->waiting = false;
		memcpy(partition->members, partition->order + block->first,
		       count * sizeof(*partition->members));
		for (uint32_t class = 0; class < dfa->classes; class ++) {
			for (uint32_t i = 0; i < count; i++) {
				size_t to = (size_t) class * dfa->states + partition->members[i];

				for (uint32_t j = partition->first[to];
				     j < partition->first[to + 1]; j++)
					mark(partition, partition->sources[j]);
			}
			split_touched(partition);
		}
	}
}

/*
 * Make an automaton of the blocks: sinks first, then in the order in which they are reached from the
 * start, so that what is used together lies together.
 */
static int rebuild(struct dfa *dfa, const struct partition *partition)
{
	uint32_t *number = calloc(partition->count, sizeof(*number)); /* of each block, + 1 */
	uint32_t *state = calloc(partition->count, sizeof(*state));   /* one of each new state's */
	uint32_t *next = calloc((size_t)partition->count * dfa->classes, sizeof(*next));
	uint32_t count = 0;

	if (!number || !state || !next) {
		free(number);
		free(state);
		free(next);
		return -1;
	}
	for (uint32_t sink = 0; sink < dfa->sinks; sink++) {
		number[partition->block[sink]] = count + 1;
		state[count++] = sink;
	}
	if (!number[partition->block[dfa->start]]) {
		number[partition->block[dfa->start]] = count + 1;
		state[count++] = dfa->start;
	}
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t class = 0; class < dfa->classes; class ++) {
			uint32_t to = dfa->next[(size_t)state[i] * dfa->classes + class];
			uint32_t block = partition->block[to];

			if (!number[block]) {
				number[block] = count + 1;
				state[count++] = to;
			}
			next[(size_t)i * dfa->classes + class] = number[block] - 1;
		}
	dfa->start = number[partition->block[dfa->start]] - 1;
	dfa->states = count;
	free(dfa->next);
	dfa->next = next;
	free(number);
	free(state);
	return 0;
}

static bool same_column(const struct dfa *dfa, uint32_t a, uint32_t b)
{
	for (uint32_t state = 0; state < dfa->states; state++)
		if (dfa->next[(size_t)state * dfa->classes + a] !=
		    dfa->next[(size_t)state * dfa->classes + b])
			return false;
	return true;
}

/* Unite classes between which no state distinguishes any more. */
static void unite_classes(struct dfa *dfa)
{
	uint8_t united[256] = { 0 };
	uint32_t kept[256], count = 0;

	for (uint32_t class = 0; class < dfa->classes; class ++) {
		uint32_t i = 0;

		while (i < count && !same_column(dfa, kept[i], class))
			i++;
		if (i == count)
			kept[count++] = class;
		united[class] = i;
	}
	for (uint32_t state = 0; state < dfa->states; state++)
		for (uint32_t i = 0; i < count; i++)
			dfa->next[(size_t)state * count + i] =
				dfa->next[(size_t)state * dfa->classes + kept[i]];
	for (size_t byte = 0; byte < 256; byte++)
		dfa->class[byte] = united[dfa->class[byte]];
	dfa->classes = count;
}

int dfa_minimise(struct dfa *dfa)
{
	size_t states = dfa->states, cells = states * dfa->classes;
	struct partition partition = {
		.dfa = dfa,
		.order = calloc(states, sizeof(uint32_t)),
		.place = calloc(states, sizeof(uint32_t)),
		.block = calloc(states, sizeof(uint32_t)),
		.blocks = calloc(states + 1, sizeof(struct block)),
		.waiting = calloc(states, sizeof(uint32_t)),
		.touched = calloc(states, sizeof(uint32_t)),
		.members = calloc(states, sizeof(uint32_t)),
		.first = calloc(cells + 1, sizeof(uint32_t)),
		.sources = calloc(cells, sizeof(uint32_t)),
	};
	int result = -1;

	if (partition.order && partition.place && partition.block && partition.blocks &&
	    partition.waiting && partition.touched && partition.members && partition.first &&
	    partition.sources) {
		divide_by_answer(&partition);
		find_sources(&partition);
		refine(&partition);
		result = rebuild(dfa, &partition);
	}
	if (result == 0)
		unite_classes(dfa);
	free(partition.order);
	free(partition.place);
	free(partition.block);
	free(partition.blocks);
	free(partition.waiting);
	free(partition.touched);
	free(partition.members);
	free(partition.first);
	free(partition.sources);
	return result;
}
