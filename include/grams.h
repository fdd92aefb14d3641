/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Find where in a URL one of many texts may begin: a Bloom filter (Bloom, 1970) of grams, the first
 * few bytes of each text. Of the texts that begin there, the tree of prefix.h then finds the longest.
 *
 * The gram at each place of the URL is hashed and looked up separately, so that no step waits for
 * the one before it. Three bits of one word tell whether a text has that gram; about one place in
 * several hundred passes by chance.
 *
 * If all texts are long enough, only every second or fourth place has to be looked at (the stride).
 * The filter then has one gram of each text for each offset below the stride, and a gram that is
 * found may belong to a text that begins up to stride - 1 bytes earlier.
 *
 * Before the filter of a shorter list there is a sieve, a bit for each hash of 19 bits: it takes a quarter
 * of the instructions, and with a list of a thousand texts one place in a hundred gets past it. A
 * place that does costs more than its instructions, because the branch is mispredicted; so the
 * sieve is large for its list, but not larger than the second-level cache. Too many texts would
 * fill it.
 *
 * The key of the hash is random, so that no client can choose URLs that pass.
 */
#ifndef XDP_ICP_GRAMS_H
#define XDP_ICP_GRAMS_H

#include "prefix.h"

#define GRAM_MIN 4u /* bytes */
#define GRAM_STRIDE_MAX 4u
#define GRAM_PLACES 8u /* that are looked at in a step */

#define GRAM_SIEVE_LOG 19u /* bits of a hash */
#define GRAM_SIEVE_BYTES ((1u << GRAM_SIEVE_LOG) / 8)

struct gram_filter {
	__u64 key;	    /* odd */
	__u64 mask;	    /* of the bytes that a gram has, in the order of memory */
	__u32 bytes;	    /* of a gram, GRAM_MIN to ICP_WORD; PREFIX_MAX: there is none */
	__u32 stride;	    /* 1, 2 or GRAM_STRIDE_MAX */
	__u32 first_bucket; /* the filter is in the array of buckets */
	__u32 words;	    /* of the filter */
	__u32 sieved;	    /* 1: there is a sieve before it */
	__u32 zero;
	__u8 sieve[GRAM_SIEVE_BYTES];
};

/* The words of a bucket, as the filter uses it. */
#define GRAM_BUCKET_WORDS (sizeof(struct prefix_bucket) / ICP_WORD)

/*
 * The remainder changes nothing; it is a bound for the verifier. Reading it back makes the verifier
 * forget what the last loop has compared with it.
 */
ICP_INLINE __u32 gram_stride(const struct gram_filter *grams)
{
	return ICP_READ_BACK(grams->stride) % (2 * GRAM_STRIDE_MAX);
}

ICP_INLINE __u64 gram_hash(__u64 key, __u64 mask, __u64 word)
{
	__u64 hash = (word & mask) * key;

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

/* The bit of the sieve for a hash. */
ICP_INLINE __u32 gram_sieve_bit(__u64 hash)
{
	return hash >> (64 - GRAM_SIEVE_LOG);
}

/*
 * Look at GRAM_PLACES places of a text, a stride apart, of which the first is `at`; a word is read at
 * each. Returns a bit for each gram that passes the sieve, the first place's in the lowest.
 */
ICP_INLINE __u32 gram_passed(const struct gram_filter *grams, const __u8 *at)
{
	__u64 key = grams->key, mask = grams->mask; /* read once */
	__u32 stride = gram_stride(grams), passed = 0;

#pragma GCC unroll 8
	for (__u32 k = 0; k < GRAM_PLACES; k++) {
		__u32 bit = gram_sieve_bit(gram_hash(key, mask, word_at(at)));

		passed |= (grams->sieve[bit / 8] >> bit % 8 & 1u) << k;
		at += stride;
		ICP_BOUNDED(at); /* or the compiler computes each place from the first */
	}
	return passed;
}

/* May a text have this gram, the first bytes of `word`? 1 or 0. */
ICP_INLINE __u32 gram_find(const struct gram_filter *grams, __u64 word, prefix_bucket_at bucket_at,
			   void *arrays)
{
	__u64 hash = gram_hash(grams->key, grams->mask, word);
	__u32 index = gram_word(grams, hash);
	const struct prefix_bucket *bucket =
		bucket_at(arrays, grams->first_bucket + index / GRAM_BUCKET_WORDS);

	if (!bucket) /* never; else the tree tells */
		return 1;
	return gram_bits_in(((const text_word *)bucket)[index % GRAM_BUCKET_WORDS], hash);
}

#endif
