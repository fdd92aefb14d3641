/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The longest prefix of a URL that stands in a hash table.
 *
 * The table's key is a 64-bit hash of a prefix and its length, not its text: a probe with 8 bytes
 * costs a fifth of one with 256. The text stands in the entry and is compared at the end, so that
 * a collision can never give a wrong answer, only none.
 *
 * One pass over the URL's words leaves the hash state before each of them (struct prefix_states);
 * the hash at any byte length is then one more mix of a part of a word. Lengths are tried from
 * the longest in use downwards.
 *
 * A whole URL is a prefix too, of the URL with its NUL: "http://e.org/a\0" matches that URL and no
 * other. So prefixes are 0 to PREFIX_MAX bytes, and the walk begins at the NUL.
 */
#ifndef XDP_ICP_PREFIX_H
#define XDP_ICP_PREFIX_H

#include "base.h"

#define PREFIX_MAX 256u /* bytes; a URL has at most 255, and its NUL */
#define PREFIX_WORDS (PREFIX_MAX / ICP_WORD)
#define PREFIX_URL_MAX (PREFIX_MAX - 1) /* bytes of a URL without its NUL */

/* The hash state before each word of a URL and behind the last. */
struct prefix_states {
	__u64 before[PREFIX_WORDS + 1];
};

/* One mixing step: xor, multiply, fold the high half down. */
ICP_INLINE __u64 prefix_mix(__u64 state, __u64 word)
{
	state = (state ^ word) * 0x9e3779b97f4a7c15ULL;
	return state ^ state >> 32;
}

/* Fills the states of a text of `words` words (0 to PREFIX_WORDS), beginning with `seed`. */
ICP_INLINE void prefix_fill(struct prefix_states *states, __u64 seed, const text_word *text,
			    __u32 words)
{
	states->before[0] = seed;
	for (__u32 i = 0; i < PREFIX_WORDS; i++) {
		if (i >= words)
			break;
		states->before[i + 1] = prefix_mix(states->before[i], text[i]);
	}
}

/*
 * The hash of the first `length` bytes (0 to PREFIX_MAX) of a text whose states have been filled
 * at least up to there.
 */
ICP_INLINE __u64 prefix_hash(const text_word *words, const struct prefix_states *states,
			     __u32 length)
{
	__u32 whole = length / ICP_WORD;
	__u64 state = states->before[whole];

	if (length % ICP_WORD)
		state = prefix_mix(state, word_first_bytes(words[whole], length % ICP_WORD));
	return prefix_mix(state, length);
}

/*
 * The lengths in use as a way down: below[n] is the longest length in use that is less than n, or
 * PREFIX_LENGTH_NONE.
 */
#define PREFIX_LENGTH_NONE 0xffff

struct prefix_lengths {
	__u16 below[PREFIX_MAX + 2];
};

ICP_INLINE void prefix_lengths_clear(struct prefix_lengths *lengths)
{
	for (__u32 i = 0; i < PREFIX_MAX + 2; i++)
		lengths->below[i] = PREFIX_LENGTH_NONE;
}

/* Takes a length (0 to PREFIX_MAX) into use. */
ICP_INLINE void prefix_lengths_add(struct prefix_lengths *lengths, __u32 length)
{
	for (__u32 i = length + 1; i < PREFIX_MAX + 2; i++)
		if (lengths->below[i] == PREFIX_LENGTH_NONE || lengths->below[i] < length)
			lengths->below[i] = length;
}

/*
 * The entry with the longest prefix of a URL of `length` bytes (0 to PREFIX_URL_MAX) and its NUL,
 * or NULL; `*matched` is the length of that prefix. `lookup` finds a hash in `table`. Whoever calls
 * compares length and text of the entry (prefix_is_text) and does not answer where they differ.
 */
typedef const void *(*prefix_lookup)(void *table, const __u64 *hash);

ICP_INLINE const void *prefix_longest(const text_word *url, const struct prefix_states *states,
				      __u32 length, const struct prefix_lengths *lengths,
				      prefix_lookup lookup, void *table, __u32 *matched)
{
	__u32 next = length + 2; /* one more than the URL with its NUL */
	__u32 found = PREFIX_LENGTH_NONE;
	__u64 hash;

	for (__u32 i = 0; i < PREFIX_MAX + 1; i++) {

		/* The verifier cannot see that lengths only fall: bound the index. */
		if (next > PREFIX_MAX + 1)
			break;
		next = lengths->below[next];
		if (next > PREFIX_MAX)
			break;
		ICP_BOUNDED(next);
		hash = prefix_hash(url, states, next);
		if (lookup(table, &hash)) {
			found = next;
			break;
		}
	}
	if (found > PREFIX_MAX)
		return NULL;
	ICP_BOUNDED(found);
	/*
	 * Once more, now that it is in the cache: an entry that came out of the loop would make
	 * the verifier follow all that comes behind it once for each length.
	 */
	*matched = found;
	hash = prefix_hash(url, states, found);
	/* cppcheck-suppress returnDanglingLifetime; it is not the hash */
	return lookup(table, &hash);
}

/* Do the first `length` bytes (0 to PREFIX_MAX) of two texts agree? Read by whole words. */
ICP_INLINE bool prefix_is_text(const text_word *url, const text_word *text, __u32 length)
{
	for (__u32 i = 0; i < PREFIX_WORDS; i++) {
		__u32 done = i * ICP_WORD;
		__u64 difference;

		if (done >= length)
			break;
		difference = url[i] ^ text[i];
		if (length - done < ICP_WORD)
			return word_first_bytes(difference, length - done) == 0;
		if (difference)
			return false;
	}
	return true;
}

#endif
