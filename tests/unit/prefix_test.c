// SPDX-License-Identifier: GPL-2.0-or-later
/* The tree of prefixes: looked up against a look at all of them, built, damaged, and counted. */
#include <sys/random.h>

#include "lib/byteset.h"
#include "support/trees.h"

#define MEMBERS 64

/* Takes the place of the C library's: keys that are the same in each run, and counted. */
static uint64_t random_state = 1;
static unsigned int keys_made;

ssize_t getrandom(void *buffer, size_t size, unsigned int flags)
{
	uint8_t *bytes = buffer;

	keys_made++;
	for (size_t i = 0; i < size; i++)
		bytes[i] = random_below(&random_state, 256);
	return size;
}

static int compare(const void *left, const void *right)
{
	const struct prefix_entry *a = left, *b = right;

	return byteset_compare(a->text, a->length, b->text, b->length);
}

/* Sorts; of those with the same text one is left. */
static size_t sort(struct prefix_entry *entries, size_t count)
{
	size_t kept = 0;

	qsort(entries, count, sizeof(*entries), compare);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || compare(&entries[kept - 1], &entries[i]) != 0)
			entries[kept++] = entries[i];
	return kept;
}

static __u32 naive(const struct prefix_entry *entries, size_t count, const char *url, size_t length)
{
	const struct prefix_entry *longest = NULL;

	for (size_t i = 0; i < count; i++)
		if (entries[i].length <= length + 1 &&
		    memcmp(entries[i].text, url, entries[i].length) == 0 &&
		    (!longest || entries[i].length > longest->length))
			longest = &entries[i];
	return longest ? longest->answer : PREFIX_NO_ANSWER;
}

/* A set that the test adds to by hand. */
struct set {
	size_t count;
	struct prefix_entry entries[MEMBERS];
	struct tree tree;
};

static void add(struct set *set, const char *text, size_t length)
{
	set->entries[set->count] = (struct prefix_entry){ text, length, .answer = set->count + 1 };
	set->count++;
}

static void build(struct set *set)
{
	set->count = sort(set->entries, set->count);
	tree_build(&set->tree, set->entries, set->count);
}

TEST(random_sets)
{
	static const uint32_t edges[] = { 0,  1,  7,   8,   9,	 15,  16,  17, 63,
					  64, 65, 247, 248, 249, 254, 255, 256 };
	uint64_t seed = 99;

	for (int round = 0; round < 4000; round++) {
		static char texts[MEMBERS][PREFIX_MAX];
		struct set set = { 0 };
		char base[PREFIX_MAX];
		uint32_t letters = 1 + random_below(&seed, 3);

		for (uint32_t i = 0; i < PREFIX_MAX; i++)
			base[i] = 'a' + random_below(&seed, letters);
		for (uint32_t i = random_below(&seed, MEMBERS); i; i--) {
			char *text = texts[set.count];
			uint32_t size = random_below(&seed, 3) ? edges[random_below(&seed, 17)]
							       : random_below(&seed, 257);

			memcpy(text, base, sizeof(base));
			if (size && random_below(&seed, 2))
				text[random_below(&seed, size)] ^= 1;
			if (size && random_below(&seed, 4) == 0)
				text[size - 1] = '\0'; /* a whole URL */
			add(&set, text, size);
		}
		build(&set);
		for (int i = 0; i < 20; i++) {
			uint32_t length = i % 2 ? edges[random_below(&seed, 16)]
						: random_below(&seed, PREFIX_MAX);
			char url[PREFIX_MAX + 1];

			memcpy(url, base, PREFIX_MAX);
			if (length && random_below(&seed, 2))
				url[random_below(&seed, length)] ^= 1;
			url[length] = '\0';
			assert_int_equal(tree_find(&set.tree, url, length),
					 naive(set.entries, set.count, url, length));
		}
		tree_free(&set.tree);
	}
}

/* Every length there is, one within the other: the way down is as long as it can be. */
TEST(prefixes_of_all_lengths)
{
	static struct prefix_entry entries[2 * PREFIX_MAX];
	static char other[PREFIX_MAX][PREFIX_MAX];
	char url[PREFIX_MAX] = { 0 };
	struct tree tree;
	size_t count = 0;

	memset(url, 'u', PREFIX_URL_MAX);
	for (size_t length = 0; length <= PREFIX_MAX; length++)
		entries[count++] = (struct prefix_entry){ url, length, 1 + length };
	tree_build(&tree, entries, count);
	for (size_t length = 0; length <= PREFIX_URL_MAX; length++) {
		char shorter[PREFIX_MAX] = { 0 };

		memcpy(shorter, url, length);
		assert_int_equal(tree_find(&tree, shorter, length),
				 length == PREFIX_URL_MAX ? 257 : 1 + length);
	}
	tree_free(&tree);

	/* And beside each another one that is as long: a look-up for every byte. */
	for (size_t length = 1; length < PREFIX_MAX; length++) {
		memset(other[length], 'u', length);
		other[length][length - 1] = 'v';
		entries[count++] = (struct prefix_entry){ other[length], length, 1000 + length };
	}
	assert_int_equal(sort(entries, count), count);
	tree_build(&tree, entries, count);
	for (size_t length = 1; length <= PREFIX_URL_MAX; length++) {
		char shorter[PREFIX_MAX] = { 0 };

		memcpy(shorter, url, length);
		assert_int_equal(tree_find(&tree, shorter, length),
				 length == PREFIX_URL_MAX ? 257 : 1 + length);
		shorter[length - 1] = 'v';
		assert_int_equal(tree_find(&tree, shorter, length), 1000 + length);
	}
	tree_free(&tree);
}

TEST(a_whole_url_matches_nothing_longer)
{
	struct set set = { 0 };

	add(&set, "http://e.org/a", 15); /* with its NUL */
	build(&set);
	assert_int_equal(tree_find(&set.tree, "http://e.org/a", 14), 1);
	assert_int_equal(tree_find(&set.tree, "http://e.org/ab", 15), 0);
	assert_int_equal(tree_find(&set.tree, "http://e.org/", 13), 0);
	tree_free(&set.tree);
}

TEST(no_prefix_and_the_empty_one)
{
	struct set set = { 0 };

	build(&set);
	assert_int_equal(tree_find(&set.tree, "", 0), 0);
	assert_int_equal(tree_find(&set.tree, "http://e.org/", 13), 0);
	tree_free(&set.tree);
	add(&set, "", 0);
	build(&set);
	assert_int_equal(tree_find(&set.tree, "", 0), 1);
	assert_int_equal(tree_find(&set.tree, "http://e.org/", 13), 1);
	tree_free(&set.tree);
}

/* A tree that nobody has filled, as a map has it. */
TEST(nothing_but_zeroes)
{
	struct tree tree = { 0 };

	assert_int_equal(tree_find(&tree, "http://e.org/", 13), PREFIX_NO_ANSWER);
}

/*
 * The text that lies under a node's hash is another one: as a collision would have it. The head of
 * the second node is "http://e.org/abcd", its leaf "http://e.org/abcdef".
 */
TEST(a_collision_is_told)
{
	const char url[] = "http://e.org/abcdef";
	struct set set = { 0 };
	struct prefix_line *line;

	add(&set, "http://e.org/", 13);
	add(&set, "http://e.org/abcd", 17);
	add(&set, "http://e.org/abcdef", 19);
	build(&set);
	line = &set.tree.lines[1];
	assert_memory_equal(line->text, url, 19);
	assert_int_equal(tree_find(&set.tree, url, 19), 3);
	for (int place = 0; place < 64; place++) {
		line->text[place] ^= 0x20;
		assert_int_equal(tree_find(&set.tree, url, 19),
				 place < 17 ? PREFIX_COLLISION : (place < 19 ? 2 : 3));
		assert_int_equal(tree_find(&set.tree, url, 17), place < 17 ? PREFIX_COLLISION : 2);
		assert_int_equal(tree_find(&set.tree, url, 16), 1);
		line->text[place] ^= 0x20;
	}
	tree_free(&set.tree);
}

/* A copy of a node above, under the hash of what the URL is probed for: as a collision would lead back. */
TEST(a_collision_with_a_node_above_is_told)
{
	const char url[] = "aaaaaaaabbbbbbbbeeeeeeee";
	text_word words[PREFIX_WORDS + 1] = { 0 };
	struct set set = { 0 };
	struct prefix_bucket *bucket;
	struct prefix_tree *tree;
	struct prefix_node node = { 0 };
	__u32 place = 0, tag;
	__u64 hash;

	add(&set, "a", 1);
	add(&set, "aaaaaaaa", 8);
	add(&set, "aaaaaaaab", 9);
	add(&set, "aaaaaaaabbbbbbbb", 16);
	add(&set, "aaaaaaaabbbbbbbbc", 17);
	add(&set, "aaaaaaaabbbbbbbbdddddddd", 24);
	build(&set);
	assert_int_equal(tree_find(&set.tree, url, 24), 4);
	tree = &set.tree.tree;
	memcpy(words, url, 24);
	tag = prefix_tag(prefix_hash(&tree->keys, words, 8));
	for (size_t i = 0; i < set.tree.bucket_count; i++)
		for (size_t j = 0; j < PREFIX_BUCKET_NODES; j++)
			if (set.tree.buckets[i].node[j].tag == tag)
				node = set.tree.buckets[i].node[j];
	assert_int_equal(node.next, 16);
	hash = prefix_hash(&tree->keys, words, 24);
	node.tag = prefix_tag(hash);
	bucket = &set.tree.buckets[prefix_home(hash, tree->buckets)];
	while (bucket->node[place].tag)
		place++;
	assert_in_range(place, 0, PREFIX_BUCKET_NODES - 1);
	bucket->node[place] = node;
	assert_int_equal(tree_find(&set.tree, url, 24), PREFIX_COLLISION);
	tree_free(&set.tree);
}

/* Arrays that are shorter than the tree says. */
TEST(nothing_is_said_where_a_line_is_missing)
{
	struct set set = { 0 };

	add(&set, "http://e.org/", 13);
	add(&set, "http://e.org/abcd", 17);
	build(&set);
	set.tree.line_count = 1;
	assert_int_equal(tree_find(&set.tree, "http://e.org/abcd", 17), PREFIX_COLLISION);
	assert_int_equal(tree_find(&set.tree, "http://e.org/abc", 16), 1);
	set.tree.line_count = 0;
	assert_int_equal(tree_find(&set.tree, "http://e.org/abc", 16), PREFIX_COLLISION);
	set.tree.bucket_count = 0;
	assert_int_equal(tree_find(&set.tree, "http://e.org/abcd", 17), PREFIX_COLLISION);
	tree_free(&set.tree);
}

/* Full buckets all the way: it ends where no node can be, and in buckets of the tree's own. */
TEST(a_look_up_among_full_buckets)
{
	struct set set = { 0 };

	add(&set, "a", 1);
	add(&set, "bc", 2);
	build(&set);
	assert_int_equal(set.tree.bucket_count, prefix_tree_buckets(2));
	for (size_t i = 0; i < set.tree.bucket_count; i++)
		for (size_t j = 0; j < PREFIX_BUCKET_NODES; j++)
			set.tree.buckets[i].node[j] =
				(struct prefix_node){ .tag = 2 }; /* of no hash */
	assert_int_equal(tree_find(&set.tree, "bcd", 3), PREFIX_NO_ANSWER);
	assert_int_equal(set.tree.buckets_read, PREFIX_PROBE_MAX + 1);
	assert_int_equal(tree_find(&set.tree, "", 0), PREFIX_NO_ANSWER);
	tree_free(&set.tree);
}

/* A URL is looked up with its NUL at most. */
TEST(no_look_up_beyond_the_url)
{
	struct set set = { 0 };

	add(&set, "abcd", 4);
	add(&set, "abce", 4);
	build(&set);
	assert_int_equal(tree_find(&set.tree, "ab", 2), PREFIX_NO_ANSWER);
	assert_int_equal(set.tree.buckets_read, 0);
	assert_int_equal(tree_find(&set.tree, "abc", 3), PREFIX_NO_ANSWER);
	assert_int_equal(set.tree.buckets_read, 1);
	tree_free(&set.tree);
}

/* --- what a look-up costs, counted */

struct many {
	size_t count;
	char (*texts)[PREFIX_MAX];
	struct prefix_entry *entries;
	struct tree tree;
};

/* `count` prefixes of `lengths` lengths from `shortest` on, fifty of a host. */
static void many_make(struct many *many, size_t count, unsigned int shortest, unsigned int lengths)
{
	uint64_t seed = 4;

	many->texts = calloc(count, sizeof(*many->texts));
	many->entries = calloc(count, sizeof(*many->entries));
	assert_non_null(many->texts);
	assert_non_null(many->entries);
	for (size_t i = 0; i < count; i++) {
		char *text = many->texts[i];
		unsigned int length = shortest + i % lengths;
		int written = snprintf(text, PREFIX_MAX, "http://www%zu.example.org/", i / 50);

		for (unsigned int j = written; j < length; j++)
			text[j] = random_below(&seed, 6) ? 'a' + random_below(&seed, 26) : '/';
		many->entries[i] = (struct prefix_entry){ text, length, 1 + i % 5 };
	}
	many->count = sort(many->entries, count);
	tree_build(&many->tree, many->entries, many->count);
}

static void many_free(struct many *many)
{
	tree_free(&many->tree);
	free(many->texts);
	free(many->entries);
}

/* Look-ups of URLs that match, or of hosts that have no prefix; lines touched for each. */
static double lines_touched(struct many *many, bool match)
{
	const size_t looked_up = 20000;
	uint64_t seed = 17;

	many->tree.buckets_read = many->tree.lines_read = 0;
	for (size_t i = 0; i < looked_up; i++) {
		const struct prefix_entry *entry = &many->entries[random_below(&seed, many->count)];
		char url[PREFIX_MAX] = { 0 };

		memcpy(url, entry->text, entry->length);
		memcpy(url + entry->length, "index.html", 10);
		if (!match)
			url[8] = 'x';
		assert_int_equal(tree_find(&many->tree, url, entry->length + 10),
				 match ? entry->answer : PREFIX_NO_ANSWER);
	}
	return (double)(many->tree.buckets_read + many->tree.lines_read) / looked_up;
}

static void assert_cost(size_t count, unsigned int shortest, unsigned int lengths, double matched,
			double unmatched)
{
	struct many many;

	many_make(&many, count, shortest, lengths);
	assert_true(lines_touched(&many, true) < matched);
	assert_true(lines_touched(&many, false) < unmatched);
	many_free(&many);
}

TEST(cold_lines_of_one_length)
{
	assert_cost(1000, 40, 1, 2.2, 2.4);
}

TEST(cold_lines_of_16_lengths)
{
	assert_cost(10000, 40, 16, 2.4, 2.4);
}

TEST(cold_lines_of_64_lengths)
{
	assert_cost(200000, 40, 64, 3.0, 2.4);
}

/* A node has a prefix of its own, and a bucket is half full. */
TEST(room_for_a_prefix)
{
	struct many many;
	size_t nodes = 0;

	many_make(&many, 50000, 30, 35);
	for (size_t i = 0; i < many.tree.bucket_count; i++)
		for (size_t j = 0; j < PREFIX_BUCKET_NODES; j++)
			nodes += many.tree.buckets[i].node[j].tag != 0;
	assert_true(nodes <= many.count);
	assert_true(many.tree.bucket_count * PREFIX_LINE <= 33 * many.count);
	assert_true(many.tree.line_count <= many.count);
	many_free(&many);
}

/* Where the most nodes fall side by side, all of them are within reach of a lookup. */
TEST(a_million_prefixes_need_no_other_keys)
{
	const size_t count = 1000000;
	struct prefix_entry *entries = calloc(count, sizeof(*entries));
	char(*texts)[9] = calloc(count, sizeof(*texts));
	struct tree tree;

	assert_non_null(entries);
	assert_non_null(texts);
	for (size_t i = 0; i < count; i++) {
		snprintf(texts[i], sizeof(texts[i]), "%08zx", i);
		entries[i] = (struct prefix_entry){ texts[i], 8, 1 };
	}
	keys_made = 0;
	tree_build(&tree, entries, count);
	assert_int_equal(keys_made, 1);
	tree_free(&tree);
	free(texts);
	free(entries);
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
