/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The order in which the members of a cluster own the keys of a slot (partition.h): weighted
 * rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to increase hit rates",
 * 1998). Each member has a score in each slot; the higher ones come first. So a member that leaves
 * moves its own slots only, each to the next in its order, and one that joins takes no more than its
 * share, which is in proportion to its weight.
 *
 * The score is -w / ln(u), where w is the weight and u the hash of member and slot, as a number from
 * 0 to 1. It is computed in integers, because all members must find the same order on any machine.
 * Nothing here reads a clock or the host's state.
 */
#ifndef XDP_ICP_CLUSTER_ORDER_H
#define XDP_ICP_CLUSTER_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include "partition.h"

#define ORDER_WEIGHT_MAX 10000u
#define ORDER_MEMBERS_MAX 10000u
#define ORDER_NO_MEMBER SIZE_MAX

struct order;

/* The seed of a cluster's hashes, from its name. */
uint64_t order_seed(const char *cluster);

/*
 * Return an order of no members yet; NULL: out of memory. Members are counted from 0 as they are added
 * (order_add); their names must be different, and added in the order of strcmp().
 */
struct order *order_new(uint64_t seed);
void order_free(struct order *order);

/*
 * Add a member with a weight up to ORDER_WEIGHT_MAX; with 0 it takes no part, and is only counted.
 * -1: out of memory, or too many.
 */
int order_add(struct order *order, const char *name, unsigned int weight);

/*
 * The number of members that come before this one in a slot, at most `most`. ORDER_NO_MEMBER is behind
 * all others.
 */
unsigned int order_place(const struct order *order, uint32_t slot, size_t member,
			 unsigned int most);

/*
 * The same if the member `first` (ORDER_NO_MEMBER: none) comes before all others. `place` is the
 * result of order_place(), which is not computed again: with many assigned prefixes that would take
 * most of the time.
 */
unsigned int order_place_behind(const struct order *order, uint32_t slot, size_t member,
				size_t first, unsigned int place, unsigned int most);

/* Write the first members of a slot, at most `most`. Returns how many there are. */
size_t order_list(const struct order *order, uint32_t slot, size_t first, size_t *members,
		  size_t most);

/* Fill the PARTITION_LINES of a table with the places of a member, or ORDER_NO_MEMBER. */
void order_fill(const struct order *order, size_t member, unsigned int most,
		struct partition_line *lines);

/* The slot of a URL with this key (url_key.h), and of a text that is hashed whole. */
uint32_t order_url_slot(const struct order *order, const char *url, size_t length,
			struct url_key key);
uint32_t order_text_slot(const struct order *order, const char *text, size_t length);

#endif
