// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <sys/random.h>

#include "chain/gram_filter.h"

/*
 * Bytes of a gram below which the stride is not made longer for them: many texts have the same four
 * bytes, so that a filter of those lets many places pass.
 */
#define GRAM_ENOUGH 6u

/* For each text, whatever the stride: its grams set a tenth of the bits at most. */
#define TEXT_WORDS 2u

/* Of grams in a sieve: they set half of its bits. */
#define SIEVE_GRAMS_MAX (GRAM_SIEVE_BYTES * 8 * 2 / 3)

size_t gram_filter_buckets(size_t texts)
{
	return (texts * TEXT_WORDS + GRAM_BUCKET_WORDS - 1) / GRAM_BUCKET_WORDS;
}

/* Choose the gram and the stride: each text must have stride - 1 bytes more than a gram. */
static void choose(struct gram_filter *grams, uint32_t shortest)
{
	grams->stride = GRAM_STRIDE_MAX;
	while (grams->stride > 1 && shortest < GRAM_ENOUGH + grams->stride - 1)
		grams->stride /= 2;
	grams->bytes = shortest + 1 - grams->stride;
	if (grams->bytes > ICP_WORD)
		grams->bytes = ICP_WORD;
	grams->mask = ~0ULL;
	if (grams->bytes < ICP_WORD)
		grams->mask = word_first_bytes(~0ULL, grams->bytes);
}

static void add(struct gram_filter *grams, const char *gram, struct prefix_bucket *buckets)
{
	__u64 word = 0, hash;
	text_word *words = (text_word *)buckets;

	memcpy(&word, gram, grams->bytes);
	hash = gram_hash(grams->key, grams->mask, word);
	words[gram_word(grams, hash)] |= gram_bits_of(hash);
	grams->sieve[gram_sieve_bit(hash) / 8] |= 1u << gram_sieve_bit(hash) % 8;
}

int gram_filter_build(struct gram_filter *grams, const struct prefix_entry *texts, size_t count,
		      struct prefix_bucket *buckets)
{
	uint32_t shortest = PREFIX_MAX;

	*grams = (struct gram_filter){ .words = count * TEXT_WORDS };
	if (getrandom(&grams->key, sizeof(grams->key), 0) != sizeof(grams->key))
		return -1;
	grams->key |= 1;
	for (size_t i = 0; i < count; i++)
		if (texts[i].length < shortest)
			shortest = texts[i].length;
	choose(grams, shortest);
	if (!count) /* no URL has such a gram: nothing is looked up */
		grams->bytes = PREFIX_MAX;
	grams->sieved = count * grams->stride <= SIEVE_GRAMS_MAX;
	memset(buckets, 0, gram_filter_buckets(count) * sizeof(*buckets));
	for (size_t i = 0; i < count; i++)
		for (uint32_t offset = 0; offset < grams->stride; offset++)
			add(grams, texts[i].text + offset, buckets);
	return 0;
}
