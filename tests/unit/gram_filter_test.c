// SPDX-License-Identifier: GPL-2.0-or-later
/* A text is never missed, wherever it stands, and most places of other URLs do not pass. */
#include "chain/gram_filter.h"
#include "support/test.h"

#define TEXTS 1000
#define TEXTS_MAX 90000 /* too many for a sieve */

static struct prefix_bucket *buckets;
static struct gram_filter grams;
static char texts[TEXTS_MAX][24];
static struct prefix_entry entries[TEXTS_MAX];

static const struct prefix_bucket *bucket_at(void *arrays, __u32 index)
{
	assert_true(index < gram_filter_buckets(TEXTS_MAX));
	return &buckets[index];
}

/* Texts of `shortest` bytes and more. */
static void build(size_t count, uint32_t shortest, uint64_t *seed)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < sizeof(texts[i]); k++)
			texts[i][k] = 'a' + random_below(seed, 26);
		entries[i] = (struct prefix_entry){
			texts[i],
			shortest + (i ? random_below(seed, sizeof(texts[i]) - shortest) : 0),
			1,
		};
	}
	buckets = aligned_alloc(PREFIX_LINE, gram_filter_buckets(count) * sizeof(*buckets));
	assert_non_null(buckets);
	assert_int_equal(gram_filter_build(&grams, entries, count, buckets), 0);
}

TEST(gram_and_stride)
{
	static const struct {
		uint32_t shortest, bytes, stride;
	} cases[] = {
		{ 4, 4, 1 }, { 5, 5, 1 }, { 6, 6, 1 },	{ 7, 6, 2 },
		{ 8, 7, 2 }, { 9, 6, 4 }, { 11, 8, 4 }, { 20, 8, 4 },
	};
	uint64_t seed = 1;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		build(TEXTS, cases[i].shortest, &seed);
		assert_int_equal(grams.bytes, cases[i].bytes);
		assert_int_equal(grams.stride, cases[i].stride);
		free(buckets);
	}
}

TEST(texts_are_found_and_few_other_places)
{
	uint64_t seed = 2;

	for (uint32_t shortest = GRAM_MIN; shortest < 20; shortest++) {
		unsigned int passed = 0;

		build(TEXTS, shortest, &seed);
		for (size_t i = 0; i < TEXTS; i++)
			for (uint32_t at = 0; at < GRAM_STRIDE_MAX; at++) {
				uint32_t stride = grams.stride;
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

/* What the filter finds passes the sieve, at each of the places that are looked at; of others few do. */
TEST(texts_pass_the_sieve)
{
	__u8 url[GRAM_PLACES * GRAM_STRIDE_MAX + sizeof(texts[0]) + ICP_WORD];
	uint64_t seed = 3;

	for (uint32_t shortest = GRAM_MIN; shortest < 20; shortest++) {
		unsigned int passed = 0;

		build(TEXTS, shortest, &seed);
		assert_int_equal(grams.sieved, 1);
		for (size_t i = 0; i < TEXTS; i++) {
			__u32 k = random_below(&seed, GRAM_PLACES), found;

			for (size_t at = 0; at < sizeof(url); at++)
				url[at] = random_next(&seed);
			memcpy(url + k * grams.stride, entries[i].text, entries[i].length);
			found = gram_passed(&grams, url);
			assert_int_equal(found >> k & 1, 1);
			assert_in_range(found, 1, (1u << GRAM_PLACES) - 1);
			passed += __builtin_popcount(found & ((1u << k) - 1));
		}
		assert_in_range(passed, 0, TEXTS * GRAM_PLACES / 2 / 8);
		free(buckets);
	}
}

/* A sieve that lets most places pass would only take time. */
TEST(too_many_texts_for_a_sieve)
{
	static const struct {
		size_t count;
		uint32_t shortest, sieved;
	} cases[] = {
		{ 87381, 11, 1 },
		{ 87382, 11, 0 },
		{ TEXTS_MAX, 11, 0 },
		{ TEXTS_MAX, 6, 1 },
	};
	uint64_t seed = 4;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		build(cases[i].count, cases[i].shortest, &seed);
		assert_int_equal(grams.sieved, cases[i].sieved);
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
