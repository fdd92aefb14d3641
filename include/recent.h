/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Keys of URLs that were seen lately, as the kernel has them: a copy of the daemon's stores, in one hash
 * table in an array. A key is at its home, which its hash gives, or in one of the slots after it;
 * the home records how far (`reach`). A slot holds the key's bytes, the first 40 of them in its
 * first cache line: most lookups touch one or two cold lines.
 *
 * The daemon overwrites slots while they are read. So a slot whose tag is that of the key counts only if
 * its bytes are the key's and its seal is that of what was read; otherwise the query is passed up.
 */
#ifndef XDP_ICP_RECENT_H
#define XDP_ICP_RECENT_H

#include "url_key.h"

#define RECENTS_MAX 4u /* policies of a chain */

/* Bytes of a key; longer ones are the daemon's. With it a slot fills two cache lines. */
#define RECENT_TEXT_MAX 104u
#define RECENT_WORDS (RECENT_TEXT_MAX / ICP_WORD)

/*
 * The number of slots that a key may lie after its home. With half of the slots in use, fewer than
 * one key in 10^10 finds none of them free (Knuth, vol. 3, 6.4: linear probing).
 */
#define RECENT_REACH_MAX 127u

struct recent_slot {
	__u64 seal;    /* recent_seal(); 0: the slot is free */
	__u64 expires; /* nanoseconds of the monotonic clock */
	__u32 store;
	__u8 length;   /* bytes of the key, up to RECENT_TEXT_MAX */
	__u8 distance; /* slots behind the key's home */
	__u8 reach;    /* the largest distance of the keys that have this slot as their home */
	__u8 zero;
	char text[RECENT_TEXT_MAX]; /* zero-padded to the word */
} __attribute__((aligned(2 * PREFIX_LINE)));

_Static_assert(sizeof(struct recent_slot) == 24 + RECENT_TEXT_MAX, "no padding");

/* Slots of a table with `homes` places at which lookups begin. */
#define RECENT_SLOTS(homes) ((homes) + RECENT_REACH_MAX)

/* Homes of a table for this many keys, of whose slots at most half are in use; and the reverse. */
#define RECENT_HOMES(keys) (2 * (keys))
#define RECENT_KEYS(slots) ((slots) < RECENT_REACH_MAX ? 0 : ((slots)-RECENT_REACH_MAX) / 2)

/* The hash of a key in a store; `hash` is the key's prefix_hash(). */
ICP_INLINE __u64 recent_hash(__u64 hash, __u32 store)
{
	return prefix_mix(hash + store);
}

/* What distinguishes a key from others around its home; never 0. The lower half of the seal. */
ICP_INLINE __u32 recent_tag(__u64 hash)
{
	return (__u32)hash | 1;
}

/* What binds a slot's key and time to each other. */
ICP_INLINE __u64 recent_seal(__u64 hash, __u64 expires)
{
	return (prefix_mix(hash ^ expires) & ~0xffffffffULL) | recent_tag(hash);
}

enum recent_found {
	RECENT_ABSENT,
	RECENT_THERE,
	RECENT_UNKNOWN, /* another key's, or overwritten while it was read */
};

/*
 * A key that is looked up. In the kernel it is in memory that is not on the stack, so that the verifier
 * follows what is behind a loop once.
 */
struct recent_query {
	__u64 hash; /* recent_hash() */
	__u32 store;
	__u32 length;			 /* bytes, up to RECENT_TEXT_MAX */
	__u32 found;			 /* slot with its tag */
	__u32 words;			 /* of the key that were read so far */
	text_word key[RECENT_WORDS + 1]; /* zero-padded to the word */
};

/* Read a slot of the array. NULL: there is no such index. */
typedef const struct recent_slot *(*recent_slot_at)(void *array, __u32 index);

/* Find the slot with the key's tag; false: there is none. */
ICP_INLINE bool recent_probe(__u32 homes, struct recent_query *query, recent_slot_at slot_at,
			     void *array)
{
	__u32 home = prefix_home(query->hash, homes), reach = 0;

	for (__u32 i = 0; i <= RECENT_REACH_MAX; i++) {
		const struct recent_slot *slot = slot_at(array, home + i);

		query->found = home + i;
		if (!slot || (__u32)ICP_READ_BACK(slot->seal) == recent_tag(query->hash))
			return true;
		if (i == 0)
			reach = ICP_READ_BACK(slot->reach);
		if (i >= reach)
			break;
	}
	return false;
}

/* What the slot that was found says of the key. */
ICP_INLINE enum recent_found recent_read(const struct recent_slot *slot,
					 const struct recent_query *query, __u64 now)
{
	const text_word *text = (const text_word *)slot->text;
	__u64 seal = ICP_READ_BACK(slot->seal), expires = ICP_READ_BACK(slot->expires);
	__u32 length = ICP_READ_BACK(query->length);
	__u64 difference = 0;

	for (__u32 i = 0; i < RECENT_WORDS; i++) {
		if (i * ICP_WORD >= length)
			break;
		difference |= text[i] ^ query->key[i];
	}
	difference |= ICP_READ_BACK(slot->store) ^ query->store;
	difference |= ICP_READ_BACK(slot->length) ^ length;
	difference |= seal ^ recent_seal(query->hash, expires);
	if (difference)
		return RECENT_UNKNOWN;
	return now < expires ? RECENT_THERE : RECENT_ABSENT;
}

/* Look up a key in a table with this many homes. */
ICP_INLINE enum recent_found recent_find(__u32 homes, struct recent_query *query, __u64 now,
					 recent_slot_at slot_at, void *array)
{
	const struct recent_slot *slot;

	if (!recent_probe(homes, query, slot_at, array))
		return RECENT_ABSENT;
	slot = slot_at(array, ICP_READ_BACK(query->found));
	return slot ? recent_read(slot, query, now) : RECENT_UNKNOWN;
}

#endif
