// SPDX-License-Identifier: GPL-2.0-or-later
/* A text is never missed, wherever it stands, and most places of other URLs do not pass. */
#include "chain/gram_filter.h"
#include "support/test.h"

#define TEXTS 1000

static struct prefix_bucket *buckets;
static struct gram_filter grams;
static char texts[TEXTS][24];
static struct prefix_entry entries[TEXTS];

static const struct prefix_bucket *bucket_at(void *arrays, __u32 index)
{
	assert_true(index < gram_filter_buckets(TEXTS));
	return &buckets[index];
}

/* Texts of `shortest` bytes and more. */
static void build(uint32_t shortest, uint64_t *seed)
{
	for (size_t i = 0; i < TEXTS; i++) {
		for (size_t k = 0; k < sizeof(texts[i]); k++)
			texts[i][k] = 'a' + random_below(seed, 26);
		entries[i] = (struct prefix_entry){
			texts[i],
			shortest + (i ? random_below(seed, sizeof(texts[i]) - shortest) : 0),
			1,
		};
	}
	buckets = aligned_alloc(PREFIX_LINE, gram_filter_buckets(TEXTS) * sizeof(*buckets));
	assert_non_null(buckets);
	assert_int_equal(gram_filter_build(&grams, entries, TEXTS, buckets), 0);
}

TEST(gram_and_stride)
{
	static const struct {
		uint32_t shortest, bytes, stride_log;
	} cases[] = {
		{ 4, 4, 0 }, { 5, 5, 0 }, { 6, 6, 0 },	{ 7, 6, 1 },
		{ 8, 7, 1 }, { 9, 6, 2 }, { 11, 8, 2 }, { 20, 8, 2 },
	};
	uint64_t seed = 1;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		build(cases[i].shortest, &seed);
		assert_int_equal(grams.bytes, cases[i].bytes);
		assert_int_equal(grams.stride_log, cases[i].stride_log);
		free(buckets);
	}
}

TEST(texts_are_found_and_few_other_places)
{
	uint64_t seed = 2;

	for (uint32_t shortest = GRAM_MIN; shortest < 20; shortest++) {
		unsigned int passed = 0;

		build(shortest, &seed);
		for (size_t i = 0; i < TEXTS; i++)
			for (uint32_t at = 0; at < GRAM_STRIDE_MAX; at++) {
				uint32_t stride = 1u << grams.stride_log;
				uint32_t place = (at + stride - 1) / stride * stride - at;
				__u64 word = 0;

				assert_true(place + grams.bytes <= entries[i].length);
				memcpy(&word, entries[i].text + place,
				       entries[i].length - place < ICP_WORD
					       ? entries[i].length - place
					       : ICP_WORD);
				assert_int_equal(gram_find(&grams, word, bucket_at, NULL), 1);
			}
		for (unsigned int i = 0; i < 100000; i++)
			passed += gram_find(&grams, random_next(&seed), bucket_at, NULL);
		assert_in_range(passed, 0, 300);
		free(buckets);
	}
}

/* Without texts nothing is found. */
TEST(no_texts)
{
	struct gram_filter none;
	struct prefix_bucket unused;

	assert_int_equal(gram_filter_buckets(0), 0);
	assert_int_equal(gram_filter_build(&none, entries, 0, &unused), 0);
	assert_int_equal(none.words, 0);
}
