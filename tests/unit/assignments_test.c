// SPDX-License-Identifier: GPL-2.0-or-later
/* Lists of assignments that share blocks: against an array of all, and what one change costs. */
#include "cluster/assignments.h"
#include "support/test.h"

#define PREFIXES 4000u
#define TEXT_SIZE 32

/* By the number of a prefix: its owner, or 0. Their texts are in the order of the numbers. */
struct naive {
	unsigned int owners[PREFIXES];
	size_t count;
};

static size_t write_prefix(char text[TEXT_SIZE], unsigned int number)
{
	return sprintf(text, "http://%05u.example.org/", number);
}

static void assert_is(const struct cluster_assignment *one, unsigned int number, unsigned int owner)
{
	char prefix[TEXT_SIZE], member[TEXT_SIZE];
	size_t length = write_prefix(prefix, number);

	assert_non_null(one);
	assert_int_equal(one->length, length);
	assert_string_equal(one->prefix, prefix);
	sprintf(member, "m%u", owner);
	if (owner == 1)
		assert_null(one->member); /* a verdict */
	else
		assert_string_equal(one->member, member);
	assert_int_equal(one->verdict, owner == 1 ? ICP_OP_MISS : ICP_OP_INVALID);
}

static void add(struct assignments_maker *maker, unsigned int number, unsigned int owner,
		char texts[2][TEXT_SIZE])
{
	struct cluster_assignment one = {
		.prefix = texts[0],
		.length = write_prefix(texts[0], number),
		.member = owner == 1 ? NULL : texts[1],
		.verdict = owner == 1 ? ICP_OP_MISS : ICP_OP_INVALID,
	};

	sprintf(texts[1], "m%u", owner);
	assignments_add(maker, &one);
}

/* Make the list of `owners`, sharing what is the same in `former`, which is freed. */
static struct assignments make(struct assignments *former, const struct naive *before,
			       const struct naive *after)
{
	static char texts[PREFIXES][2][TEXT_SIZE];
	struct assignment_cursor cursor = assignments_begin(former);
	struct assignments_maker maker = { .failed = false };
	struct assignments made;
	char prefix[TEXT_SIZE];

	for (unsigned int i = 0; i <= PREFIXES; i++) {
		size_t length = write_prefix(prefix, i);

		/* Before each difference all blocks that end there are offered. */
		if (i < PREFIXES && before->owners[i] == after->owners[i])
			continue;
		for (;;) {
			const struct cluster_assignment *one;

			if (assignments_share(&maker, &cursor, i < PREFIXES ? prefix : NULL,
					      length))
				continue;
			one = assignments_at(&cursor);
			if (!one || (i < PREFIXES && strcmp(one->prefix, prefix) >= 0))
				break;
			assignments_add(&maker, one);
			assignments_next(&cursor);
		}
		if (i < PREFIXES && before->owners[i])
			assignments_next(&cursor);
		if (i < PREFIXES && after->owners[i])
			add(&maker, i, after->owners[i], texts[i]);
	}
	assert_int_equal(assignments_finish(&maker, &made), 0);
	return made;
}

static void assert_same(const struct assignments *made, const struct naive *naive)
{
	struct assignment_cursor cursor = assignments_begin(made), behind;
	size_t texts = 0;
	char prefix[TEXT_SIZE];

	assert_int_equal(made->count, naive->count);
	for (unsigned int i = 0; i < PREFIXES; i++) {
		size_t length = write_prefix(prefix, i);

		if (naive->owners[i]) {
			const struct cluster_assignment *one = assignments_next(&cursor);

			assert_is(one, i, naive->owners[i]);
			texts += one->length + 1 + (one->member ? strlen(one->member) + 1 : 0);
			assert_ptr_equal(assignments_find(made, prefix, length), one);
		} else {
			assert_null(assignments_find(made, prefix, length));
		}
		behind = assignments_behind(made, prefix, length);
		assert_ptr_equal(assignments_at(&behind), assignments_at(&cursor));
	}
	assert_null(assignments_next(&cursor));
	assert_int_equal(made->text_size, texts);
}

static void set(struct naive *naive, unsigned int number, unsigned int owner)
{
	naive->count += (owner != 0) - (naive->owners[number] != 0);
	naive->owners[number] = owner;
}

TEST(random_changes)
{
	struct naive naive = { .count = 0 }, before;
	struct assignments list = { 0 }, next;
	uint64_t seed = 1;

	for (int round = 0; round < 600; round++) {
		unsigned int changes = round % 50 ? random_below(&seed, 4) : PREFIXES / 2;
		unsigned int dense = round / 150 % 2; /* it grows, and shrinks */

		before = naive;
		for (unsigned int i = 0; i < changes; i++)
			set(&naive, random_below(&seed, PREFIXES),
			    random_below(&seed, 4) < 1 + 2 * dense ? 1 + random_below(&seed, 3)
								   : 0);
		next = make(&list, &before, &naive);
		assert_same(&next, &naive);
		assert_int_equal(assignments_are_same(&list, &next),
				 memcmp(&before, &naive, sizeof(naive)) == 0);
		/* Small ones do not pile up. */
		assert_in_range(next.block_count, 0, 3 + next.count / 100);
		assignments_free(&list);
		list = next;
	}
	assignments_free(&list);
}

static size_t count_shared(const struct assignments *a, const struct assignments *b)
{
	size_t shared = 0;

	for (size_t i = 0; i < a->block_count; i++)
		for (size_t k = 0; k < b->block_count; k++)
			shared += a->blocks[i] == b->blocks[k];
	return shared;
}

/* One change makes one block, and the others live as long as the last list that has them. */
TEST(blocks_are_shared)
{
	struct naive none = { .count = 0 }, all = { .count = 0 }, less;
	struct assignments empty = { 0 }, first, second, third;

	for (unsigned int i = 0; i < PREFIXES; i++)
		set(&all, i, 1 + i % 3);
	less = all;
	set(&less, 7, 0);
	first = make(&empty, &none, &all);
	second = make(&first, &all, &less);
	third = make(&second, &less, &all);
	assert_in_range(first.block_count, 5, PREFIXES / 100);
	assert_int_equal(count_shared(&first, &second), first.block_count - 1);
	assert_false(assignments_are_same(&first, &second));
	assert_true(assignments_are_same(&first, &third));
	assignments_free(&second);
	assignments_free(&first);
	assert_same(&third, &all);
	assignments_free(&third);
}
