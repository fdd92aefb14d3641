// SPDX-License-Identifier: GPL-2.0-or-later
/* The walk over the lengths in use against a look at all members. */
#include "prefix.h"
#include "test.h"

#define SEED 0x0123456789abcdefULL
#define MEMBERS 64

struct member {
	__u64 hash;
	__u32 length;
	char text[PREFIX_MAX] __attribute__((aligned(8)));
};

struct table {
	size_t count;
	struct member members[MEMBERS];
	struct prefix_lengths lengths;
};

static const void *lookup(void *table, const __u64 *hash)
{
	struct table *members = table;

	for (size_t i = 0; i < members->count; i++)
		if (members->members[i].hash == *hash)
			return &members->members[i];
	return NULL;
}

static void add(struct table *table, const char *text, __u32 length)
{
	struct member *member = &table->members[table->count++];
	struct prefix_states states;

	memset(member, 0, sizeof(*member));
	memcpy(member->text, text, length);
	member->length = length;
	prefix_fill(&states, SEED, (const text_word *)member->text, length / ICP_WORD);
	member->hash = prefix_hash((const text_word *)member->text, &states, length);
	prefix_lengths_add(&table->lengths, length);
}

/* The length that the walk finds for a URL with its NUL at `length`; -1: none. */
static int walk(struct table *table, const char url[PREFIX_MAX + 8], __u32 length)
{
	char text[PREFIX_MAX + 8] __attribute__((aligned(8))) = { 0 };
	struct prefix_states states;
	const struct member *found;
	__u32 matched;

	memcpy(text, url, length);
	prefix_fill(&states, SEED, (const text_word *)text, (length + 1 + 7) / 8);
	found = prefix_longest((const text_word *)text, &states, length, &table->lengths, lookup,
			       table, &matched);
	if (!found)
		return -1;
	assert_int_equal(found->length, matched);
	assert_true(
		prefix_is_text((const text_word *)text, (const text_word *)found->text, matched));
	return matched;
}

static int naive(const struct table *table, const char *url, __u32 length)
{
	int longest = -1;

	for (size_t i = 0; i < table->count; i++) {
		const struct member *member = &table->members[i];

		if (member->length <= length + 1 &&
		    memcmp(member->text, url, member->length) == 0 && (int)member->length > longest)
			longest = member->length;
	}
	return longest;
}

TEST(random_sets)
{
	static const __u32 edges[] = { 0,  1,  7,   8,	 9,   15,  16,	17,
				       63, 64, 247, 248, 249, 254, 255, 256 };
	uint64_t seed = 99;

	for (int round = 0; round < 3000; round++) {
		struct table *table = calloc(1, sizeof(*table));
		char url[PREFIX_MAX + 8] = { 0 };
		__u32 length = edges[random_below(&seed, 15)];

		assert_non_null(table);
		prefix_lengths_clear(&table->lengths);
		for (__u32 i = 0; i < length; i++)
			url[i] = 'a' + random_below(&seed, 2);
		for (__u32 i = random_below(&seed, MEMBERS); i; i--) {
			char text[PREFIX_MAX + 8];
			__u32 size = edges[random_below(&seed, 16)];

			memcpy(text, url, sizeof(text));
			if (size && random_below(&seed, 2))
				text[random_below(&seed, size)] ^= 1;
			add(table, text, size);
		}
		assert_int_equal(walk(table, url, length), naive(table, url, length));
		free(table);
	}
}

TEST(a_whole_url_matches_nothing_longer)
{
	struct table table = { 0 };
	char url[PREFIX_MAX + 8] = "http://e.org/a";

	prefix_lengths_clear(&table.lengths);
	add(&table, "http://e.org/a", 15); /* with its NUL */
	assert_int_equal(walk(&table, url, 14), 15);
	memcpy(url, "http://e.org/ab", 15);
	assert_int_equal(walk(&table, url, 15), -1);
	assert_int_equal(walk(&table, url, 13), -1);
}

TEST(the_longest_url)
{
	struct table table = { 0 };
	char url[PREFIX_MAX + 8] = { 0 };

	memset(url, 'u', 255);
	prefix_lengths_clear(&table.lengths);
	assert_int_equal(walk(&table, url, 255), -1);
	add(&table, url, 0);
	assert_int_equal(walk(&table, url, 255), 0);
	add(&table, url, 255);
	assert_int_equal(walk(&table, url, 255), 255);
	assert_int_equal(walk(&table, url, 254), 0);
	add(&table, url, 256);
	assert_int_equal(walk(&table, url, 255), 256);
}

TEST(the_way_down)
{
	struct prefix_lengths lengths;

	prefix_lengths_clear(&lengths);
	for (int i = 0; i < 258; i++)
		assert_int_equal(lengths.below[i], PREFIX_LENGTH_NONE);
	prefix_lengths_add(&lengths, 256);
	prefix_lengths_add(&lengths, 0);
	prefix_lengths_add(&lengths, 9);
	prefix_lengths_add(&lengths, 9);
	assert_int_equal(lengths.below[0], PREFIX_LENGTH_NONE);
	assert_int_equal(lengths.below[1], 0);
	assert_int_equal(lengths.below[9], 0);
	assert_int_equal(lengths.below[10], 9);
	assert_int_equal(lengths.below[256], 9);
	assert_int_equal(lengths.below[257], 256);
}

TEST(texts_are_compared_to_the_byte)
{
	char a[PREFIX_MAX] __attribute__((aligned(8))), b[PREFIX_MAX] __attribute__((aligned(8)));

	memset(a, 'x', sizeof(a));
	for (__u32 place = 0; place < PREFIX_MAX; place++) {
		memset(b, 'x', sizeof(b));
		b[place] = 'y';
		assert_true(prefix_is_text((const text_word *)a, (const text_word *)b, place));
		assert_false(prefix_is_text((const text_word *)a, (const text_word *)b, place + 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_sets),
		cmocka_unit_test(a_whole_url_matches_nothing_longer),
		cmocka_unit_test(the_longest_url),
		cmocka_unit_test(the_way_down),
		cmocka_unit_test(texts_are_compared_to_the_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
