/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The place of this host among the owners of a URL. The hash of the URL's key (url_key.h) is one of
 * PARTITION_SLOTS slots, and a table has for each the number of members that come before this one:
 * 0 for the owner. user/cluster/order.c makes the table; its size does not depend on the members, so
 * that a lookup costs the hash and one cache line with three of them as with a thousand.
 *
 * All members must compute the same: what is here is defined in xdp-icp-cluster(7), with examples,
 * and cannot be changed.
 */
#ifndef XDP_ICP_PARTITION_H
#define XDP_ICP_PARTITION_H

#include "url_key.h"

#define PARTITION_SLOTS (1u << 20)

/* The number of places that a table distinguishes; all later ones are PARTITION_DEPTH_MAX. */
#define PARTITION_DEPTH_MAX 15u

#define PARTITION_LINE_SLOTS 128u
#define PARTITION_LINES (PARTITION_SLOTS / PARTITION_LINE_SLOTS)

/* A cache line of the table: four bits for each slot, the even one's the lower of its byte. */
struct partition_line {
	__u8 places[PARTITION_LINE_SLOTS / 2];
} __attribute__((aligned(PREFIX_LINE)));

/* What is hashed, and with which seed. */
struct partition {
	__u64 seed; /* of the cluster's name */
	struct url_key_form form;
};

/* Mix all bits of a sum with each other. Different sums give different results. */
ICP_INLINE __u64 partition_mix(__u64 sum)
{
	sum = (sum ^ sum >> 32) * 0xd6e8feb86659fd93ULL;
	sum = (sum ^ sum >> 32) * 0xd6e8feb86659fd93ULL;
	return sum ^ sum >> 32;
}

ICP_INLINE __u64 partition_add(__u64 sum, __u64 word)
{
	return (sum ^ word) * 0x9e3779b97f4a7c15ULL;
}

ICP_INLINE void partition_take(void *context, __u64 word)
{
	__u64 *sum = context;

	*sum = partition_add(*sum, word);
}

/* The hash of a key, from 8 bytes at a time and its length. Parameters as those of url_key_read(). */
ICP_INLINE __u64 partition_hash(__u64 seed, struct url_key *key, const __u8 *url, __u32 size)
{
	__u64 sum = seed;

	url_key_read(key, url, size, partition_take, &sum);
	return partition_mix(sum ^ (ICP_READ_BACK(key->end) - ICP_READ_BACK(key->begin)));
}

ICP_INLINE __u32 partition_slot(__u64 hash)
{
	return hash >> 44;
}

_Static_assert(1ULL << (64 - 44) == PARTITION_SLOTS, "the highest bits of the hash");

/* The place of this host in the order of a slot, in the slot's line of the table. */
ICP_INLINE __u32 partition_place(const struct partition_line *line, __u32 slot)
{
	__u32 at = slot % PARTITION_LINE_SLOTS;

	return line->places[at / 2] >> at % 2 * 4 & PARTITION_DEPTH_MAX;
}

#endif
