/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Find where in a URL one of many texts may begin: a Bloom filter (Bloom, 1970) of grams, the first
 * few bytes of each text. Of the texts that begin there, the tree of prefix.h then finds the longest.
 *
 * The gram at each place of the URL is hashed and looked for by itself, so that no step waits for the
 * one before it. Three bits of one word tell whether a text has that gram; one place in hundreds
 * passes by chance.
 *
 * If all texts are long enough, not each place has to be looked at but each second or fourth, the
 * stride: the filter then has as many grams of each text, from its first bytes on, and a gram that is
 * found may be that of a text which begins up to stride - 1 bytes before.
 *
 * The key of the hash is random, so that no client can choose URLs that pass.
 */
#ifndef XDP_ICP_GRAMS_H
#define XDP_ICP_GRAMS_H

#include "prefix.h"

#define GRAM_MIN 4u /* bytes */
#define GRAM_STRIDE_MAX 4u

struct gram_filter {
	__u64 key;	    /* odd */
	__u64 mask;	    /* of the bytes that a gram has, in the order of memory */
	__u32 bytes;	    /* of a gram, GRAM_MIN to ICP_WORD; PREFIX_MAX: there is none */
	__u32 stride_log;   /* 0 to 2: the stride is 1, 2 or GRAM_STRIDE_MAX */
	__u32 first_bucket; /* the filter is in the array of buckets */
	__u32 words;	    /* of the filter */
};

/* The words of a bucket, as the filter uses it. */
#define GRAM_BUCKET_WORDS (sizeof(struct prefix_bucket) / ICP_WORD)

ICP_INLINE __u64 gram_hash(const struct gram_filter *grams, __u64 word)
{
	__u64 hash = (word & grams->mask) * grams->key;

	return hash ^ hash >> 32;
}

/* The word of the filter, from 0, that has the bits of a hash. */
ICP_INLINE __u32 gram_word(const struct gram_filter *grams, __u64 hash)
{
	return (hash >> 32) * grams->words >> 32;
}

/* The bits of a hash in that word. */
ICP_INLINE __u64 gram_bits_of(__u64 hash)
{
	return 1ULL << hash % 64 | 1ULL << (hash >> 6) % 64 | 1ULL << (hash >> 12) % 64;
}

/* Does a word have all of them? 1 or 0. */
ICP_INLINE __u32 gram_bits_in(__u64 word, __u64 hash)
{
	return word >> hash % 64 & word >> (hash >> 6) % 64 & word >> (hash >> 12) % 64 & 1;
}

/* May a text have this gram, the first bytes of `word`? 1 or 0. */
ICP_INLINE __u32 gram_find(const struct gram_filter *grams, __u64 word, prefix_bucket_at bucket_at,
			   void *arrays)
{
	__u64 hash = gram_hash(grams, word);
	__u32 index = gram_word(grams, hash);
	const struct prefix_bucket *bucket =
		bucket_at(arrays, grams->first_bucket + index / GRAM_BUCKET_WORDS);

	if (!bucket) /* never; else the tree tells */
		return 1;
	return gram_bits_in(((const text_word *)bucket)[index % GRAM_BUCKET_WORDS], hash);
}

#endif
