/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Keys of URLs that were seen lately, as the kernel has them: a copy of the daemon's stores, in one hash
 * table. An entry is found by the hash of its key and its store, and has the key's bytes.
 *
 * The daemon overwrites and removes entries while they are read, and the kernel gives the memory of one
 * to another at once. An entry that was found is therefore good only if its bytes are the key's, and its
 * seal is that of what was read; otherwise nothing is known, and the query is passed up. That is also how
 * two keys of one hash would be told apart.
 */
#ifndef XDP_ICP_RECENT_H
#define XDP_ICP_RECENT_H

#include "url_key.h"

#define RECENTS_MAX 4u /* policies of a chain */

/* Bytes of a key; longer ones are the daemon's. With it an entry fills 192 bytes of the kernel's memory. */
#define RECENT_TEXT_MAX 104u
#define RECENT_WORDS (RECENT_TEXT_MAX / ICP_WORD)

struct recent_hash {
	__u64 hash; /* recent_hash() */
};

struct recent_entry {
	__u32 store;   /* never 0 */
	__u32 length;  /* bytes of the key */
	__u64 expires; /* nanoseconds of the monotonic clock */
	__u64 seal;    /* recent_seal() */
	char text[RECENT_TEXT_MAX] __attribute__((aligned(8))); /* zero-padded */
};

_Static_assert(sizeof(struct recent_entry) == 24 + RECENT_TEXT_MAX, "no padding");

/* What a key's prefix_hash() becomes in a store. */
ICP_INLINE __u64 recent_hash(__u64 hash, __u32 store)
{
	return prefix_mix(hash + store);
}

/* What binds an entry's members to each other, and to the hash that it was put under. */
ICP_INLINE __u64 recent_seal(__u64 hash, __u32 store, __u32 length, __u64 expires)
{
	return prefix_mix(prefix_mix(hash + ((__u64)store << 32 | length)) + expires);
}

enum recent_found {
	RECENT_ABSENT,
	RECENT_THERE,
	RECENT_UNKNOWN, /* another key's, or overwritten while it was read */
};

/* What an entry that was found under the hash says of this key, which is zero-padded to RECENT_WORDS. */
ICP_INLINE enum recent_found recent_read(const struct recent_entry *entry, __u64 hash, __u32 store,
					 const text_word *key, __u32 length, __u64 now)
{
	const text_word *text = (const text_word *)entry->text;
	__u64 expires = ICP_READ_BACK(entry->expires), difference = 0;

	for (__u32 i = 0; i < RECENT_WORDS; i++) {
		if (i * ICP_WORD >= length)
			break;
		difference |= text[i] ^ key[i];
	}
	if (difference || ICP_READ_BACK(entry->length) != length ||
	    ICP_READ_BACK(entry->store) != store ||
	    ICP_READ_BACK(entry->seal) != recent_seal(hash, store, length, expires))
		return RECENT_UNKNOWN;
	return now < expires ? RECENT_THERE : RECENT_ABSENT;
}

#endif
