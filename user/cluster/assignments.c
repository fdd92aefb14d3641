// SPDX-License-Identifier: GPL-2.0-or-later
/* A block is one allocation, with its assignments and all texts behind it. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/assignments.h"
#include "lib/byteset.h"
#include "lib/vec.h"

/* Assignments of a block. A small block is merged with the next one if both fit into one. */
#define BLOCK_MAX 512u
#define BLOCK_SMALL (BLOCK_MAX / 4)

struct assignment_block {
	atomic_uint references;
	size_t count, text_size;
	struct cluster_assignment list[];
};

/* --- blocks */

static size_t text_size(const struct cluster_assignment *one)
{
	return one->length + 1 + (one->member ? strlen(one->member) + 1 : 0);
}

static struct assignment_block *block_new(const struct cluster_assignment *list, size_t count)
{
	struct assignment_block *block;
	size_t size = 0;
	char *place;

	for (size_t i = 0; i < count; i++)
		size += text_size(&list[i]);
	block = malloc(sizeof(*block) + count * sizeof(*list) + size);
	if (!block)
		return NULL;
	atomic_init(&block->references, 1);
	block->count = count;
	block->text_size = size;
	memcpy(block->list, list, count * sizeof(*list));
	place = (char *)&block->list[count];
	for (size_t i = 0; i < count; i++) {
		struct cluster_assignment *one = &block->list[i];

		one->prefix = memcpy(place, one->prefix, one->length);
		place += one->length;
		*place++ = '\0';
		if (!one->member)
			continue;
		size = strlen(one->member) + 1;
		one->member = memcpy(place, one->member, size);
		place += size;
	}
	return block;
}

static void block_unref(const struct assignment_block *shared)
{
	struct assignment_block *block = (struct assignment_block *)shared;

	if (atomic_fetch_sub_explicit(&block->references, 1, memory_order_acq_rel) == 1)
		free(block);
}

void assignments_free(struct assignments *assignments)
{
	for (size_t i = 0; i < assignments->block_count; i++)
		block_unref(assignments->blocks[i]);
	free(assignments->blocks);
	*assignments = (struct assignments){ 0 };
}

/* --- looking */

struct assignment_cursor assignments_begin(const struct assignments *assignments)
{
	return (struct assignment_cursor){ .of = assignments };
}

/* Compare as byteset_compare() does. */
static int compare(const struct cluster_assignment *one, const char *prefix, size_t length)
{
	return byteset_compare(one->prefix, one->length, prefix, length);
}

struct assignment_cursor assignments_behind(const struct assignments *assignments,
					    const char *prefix, size_t length)
{
	struct assignment_cursor cursor = { .of = assignments };
	size_t end = assignments->block_count;

	/*
	 * Find the first block whose last assignment is greater, and the first such assignment in
	 * it.
	 */
	while (cursor.block < end) {
		size_t middle = cursor.block + (end - cursor.block) / 2;
		const struct assignment_block *block = assignments->blocks[middle];

		if (compare(&block->list[block->count - 1], prefix, length) <= 0)
			cursor.block = middle + 1;
		else
			end = middle;
	}
	if (cursor.block == assignments->block_count)
		return cursor;
	for (end = assignments->blocks[cursor.block]->count; cursor.index < end;) {
		size_t middle = cursor.index + (end - cursor.index) / 2;

		if (compare(&assignments->blocks[cursor.block]->list[middle], prefix, length) <= 0)
			cursor.index = middle + 1;
		else
			end = middle;
	}
	return cursor;
}

const struct cluster_assignment *assignments_at(const struct assignment_cursor *cursor)
{
	return cursor->block < cursor->of->block_count
		       ? &cursor->of->blocks[cursor->block]->list[cursor->index]
		       : NULL;
}

const struct cluster_assignment *assignments_next(struct assignment_cursor *cursor)
{
	const struct cluster_assignment *one = assignments_at(cursor);

	if (one && ++cursor->index == cursor->of->blocks[cursor->block]->count) {
		cursor->index = 0;
		cursor->block++;
	}
	return one;
}

const struct cluster_assignment *assignments_find(const struct assignments *assignments,
						  const char *prefix, size_t length)
{
	struct assignment_cursor cursor = assignments_behind(assignments, prefix, length);
	const struct assignment_block *block;

	/* It is before that place, if it is there. */
	if (cursor.index)
		cursor.index--;
	else if (cursor.block)
		cursor.index = assignments->blocks[--cursor.block]->count - 1;
	else
		return NULL;
	block = assignments->blocks[cursor.block];
	return compare(&block->list[cursor.index], prefix, length) == 0 ? &block->list[cursor.index]
									: NULL;
}

static bool is_same(const struct cluster_assignment *a, const struct cluster_assignment *b)
{
	return compare(a, b->prefix, b->length) == 0 && a->verdict == b->verdict &&
	       (a->member && b->member ? strcmp(a->member, b->member) == 0
				       : a->member == b->member);
}

bool assignments_are_same(const struct assignments *a, const struct assignments *b)
{
	struct assignment_cursor left = assignments_begin(a), right = assignments_begin(b);

	if (a->count != b->count)
		return false;
	while (left.block < a->block_count) {
		if (!left.index && !right.index &&
		    a->blocks[left.block] == b->blocks[right.block]) {
			left.block++;
			right.block++;
		} else if (!is_same(assignments_next(&left), assignments_next(&right))) {
			return false;
		}
	}
	return true;
}

/* --- making */

/* Append a block, with its reference. */
static void append(struct assignments_maker *maker, const struct assignment_block *block)
{
	struct assignments *made = &maker->made;
	const struct assignment_block **place = vec_append(made->blocks, made->block_count);

	if (!place) {
		block_unref(block);
		maker->failed = true;
		return;
	}
	*place = block;
	made->count += block->count;
	made->text_size += block->text_size;
}

/* Put what is open into a block. */
static void seal(struct assignments_maker *maker)
{
	const struct assignment_block *block = block_new(maker->open, maker->open_count);

	if (block)
		append(maker, block);
	else
		maker->failed = true;
	maker->open_count = 0;
}

void assignments_add(struct assignments_maker *maker, const struct cluster_assignment *assignment)
{
	if (!maker->open)
		maker->open = reallocarray(NULL, BLOCK_MAX, sizeof(*maker->open));
	if (!maker->open || maker->failed) {
		maker->failed = true;
		return;
	}
	maker->open[maker->open_count++] = *assignment;
	if (maker->open_count == BLOCK_MAX)
		seal(maker);
}

bool assignments_share(struct assignments_maker *maker, struct assignment_cursor *cursor,
		       const char *before, size_t length)
{
	const struct assignments *of = cursor->of;
	const struct assignment_block *block;

	if (cursor->index || cursor->block == of->block_count || maker->failed)
		return false;
	block = of->blocks[cursor->block];
	if (before && compare(&block->list[block->count - 1], before, length) >= 0)
		return false;
	if (block->count < BLOCK_SMALL || (maker->open_count && maker->open_count < BLOCK_SMALL &&
					   maker->open_count + block->count <= BLOCK_MAX))
		return false;
	if (maker->open_count)
		seal(maker);
	atomic_fetch_add_explicit(&((struct assignment_block *)block)->references, 1,
				  memory_order_relaxed);
	append(maker, block);
	cursor->block++;
	return true;
}

int assignments_finish(struct assignments_maker *maker, struct assignments *assignments)
{
	if (maker->open_count && !maker->failed)
		seal(maker);
	free(maker->open);
	*assignments = maker->made;
	if (!maker->failed)
		return 0;
	assignments_free(assignments);
	return -1;
}
