// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/byteset.h"
#include "support/test.h"

#define MEMBERS 40
#define LENGTH 6

struct naive {
	size_t length;
	char text[LENGTH];
	enum icp_opcode verdict; /* ICP_OP_INVALID: gone */
};

/* A short text of few different bytes, among them NUL and one that is negative as a char. */
static size_t random_text(uint64_t *seed, char text[LENGTH])
{
	size_t length = random_below(seed, LENGTH + 1);

	for (size_t i = 0; i < length; i++)
		text[i] = "ab\xff\0"[random_below(seed, 4)];
	return length;
}

static const struct naive *naive_longest(const struct naive *members, size_t count,
					 const char *text, size_t length)
{
	const struct naive *longest = NULL;

	for (size_t i = 0; i < count; i++)
		if (members[i].verdict != ICP_OP_INVALID && members[i].length <= length &&
		    memcmp(members[i].text, text, members[i].length) == 0 &&
		    (!longest || members[i].length > longest->length))
			longest = &members[i];
	return longest;
}

static struct naive *naive_find(struct naive *members, size_t *count, const char *text,
				size_t length)
{
	for (size_t i = 0; i < *count; i++)
		if (members[i].length == length && memcmp(members[i].text, text, length) == 0)
			return &members[i];
	members[*count].length = length;
	memcpy(members[*count].text, text, length);
	members[*count].verdict = ICP_OP_INVALID;
	return &members[(*count)++];
}

static void assert_same(const struct byteset *set, const struct naive *members, size_t count,
			uint64_t *seed)
{
	size_t there = 0;

	for (size_t i = 0; i < count; i++)
		there += members[i].verdict != ICP_OP_INVALID;
	assert_int_equal(byteset_count(set), there);
	for (size_t i = 0; i + 1 < there; i++) {
		struct byteset_member a = byteset_get(set, i), b = byteset_get(set, i + 1);

		assert_true(byteset_compare(a.text, a.length, b.text, b.length) < 0);
	}
	for (int i = 0; i < 50; i++) {
		char text[LENGTH];
		size_t length = random_text(seed, text);
		const struct naive *expected = naive_longest(members, count, text, length);
		struct byteset_member member;

		assert_int_equal(byteset_longest(set, text, length, &member), expected != NULL);
		if (!expected)
			continue;
		assert_int_equal(member.length, expected->length);
		assert_memory_equal(member.text, expected->text, expected->length);
		assert_int_equal(member.verdict, expected->verdict);
	}
}

TEST(random_sets)
{
	uint64_t seed = 1;

	for (int round = 0; round < 1000; round++) {
		struct byteset *set = byteset_new();
		struct naive members[MEMBERS];
		struct byteset_conflict conflict;
		char texts[MEMBERS][LENGTH];
		size_t count = 0;

		if (round % 2)
			byteset_lend(set);
		for (uint32_t i = random_below(&seed, MEMBERS); i; i--) {
			char *text = texts[i]; /* only one that is lent must stay */
			size_t length = random_text(&seed, text);
			struct naive *member = naive_find(members, &count, text, length);

			if (member->verdict == ICP_OP_INVALID)
				member->verdict = random_verdict(&seed);
			assert_int_equal(byteset_append(set, text, length, member->verdict, i), 0);
			if (round % 2 == 0)
				memset(text, 0xff, LENGTH);
		}
		assert_int_equal(byteset_finish(set, &conflict), 0);
		assert_same(set, members, count, &seed);
		for (size_t i = 0; i < byteset_count(set); i++) {
			byteset_set(set, i, ICP_OP_DENIED, (int)i - 1);
			assert_int_equal(byteset_get(set, i).verdict, ICP_OP_DENIED);
			assert_int_equal(byteset_get(set, i).cost, (int)i - 1);
		}
		byteset_free(set);
	}
}

TEST(random_changes)
{
	struct byteset *set = byteset_new();
	struct naive members[6000];
	struct byteset_conflict conflict;
	uint64_t seed = 2;
	size_t count = 0;

	assert_int_equal(byteset_finish(set, &conflict), 0);
	for (int round = 0; round < 3000; round++) {
		char text[LENGTH];
		size_t length = random_text(&seed, text);
		struct naive *member = naive_find(members, &count, text, length);

		if (random_below(&seed, 2)) {
			member->verdict = random_verdict(&seed);
			assert_int_equal(byteset_put(set, text, length, member->verdict), 0);
		} else {
			assert_int_equal(byteset_remove(set, text, length),
					 member->verdict != ICP_OP_INVALID);
			member->verdict = ICP_OP_INVALID;
		}
		assert_same(set, members, count, &seed);
	}
	byteset_free(set);
}

TEST(conflicts_are_told_by_tag)
{
	struct byteset *set = byteset_new();
	struct byteset_conflict conflict;

	byteset_append(set, "b", 1, ICP_OP_HIT, 30);
	byteset_append(set, "a", 1, ICP_OP_HIT, 20);
	byteset_append(set, "b", 1, ICP_OP_HIT, 10);
	byteset_append(set, "b", 1, ICP_OP_MISS, 40);
	assert_int_equal(byteset_finish(set, &conflict), 1);
	assert_int_equal(conflict.first_tag, 30);
	assert_int_equal(conflict.second_tag, 40);
	byteset_free(set);
}

TEST(nothing_and_everything)
{
	struct byteset *set = byteset_new();
	struct byteset_conflict conflict;
	struct byteset_member member;

	assert_int_equal(byteset_finish(set, &conflict), 0);
	assert_false(byteset_longest(set, "x", 1, &member));
	assert_int_equal(byteset_put(set, "", 0, ICP_OP_DENIED), 0);
	assert_true(byteset_longest(set, "x", 1, &member));
	assert_int_equal(member.length, 0);
	assert_int_equal(member.verdict, ICP_OP_DENIED);
	assert_true(byteset_longest(set, "", 0, &member));
	byteset_free(set);
}

TEST(too_long_a_text)
{
	struct byteset *set = byteset_new();
	char *text = calloc(1, BYTESET_TEXT_MAX + 1);

	assert_int_equal(byteset_append(set, text, BYTESET_TEXT_MAX + 1, ICP_OP_HIT, 0), -1);
	assert_int_equal(byteset_append(set, text, BYTESET_TEXT_MAX, ICP_OP_HIT, 0), 0);
	free(text);
	byteset_free(set);
}
