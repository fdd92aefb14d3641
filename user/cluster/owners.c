// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "cluster/order.h"
#include "cluster/owners.h"
#include "lib/byteset.h"
#include "partition.h"

#define UNKNOWN UINT16_MAX

_Static_assert(OWNERS_MAX <= UNKNOWN, "owners take 16 bits, in the slots and as costs");

struct owners {
	const struct membership *map;
	struct order *order;	  /* of members that are not drained */
	uint16_t *members;	  /* their numbers in the map */
	uint16_t *slots;	  /* the owner of each slot, or UNKNOWN */
	struct byteset *prefixes; /* with the owner in place of a cost */
	uint64_t seed;
};

static unsigned int slot_owner(struct owners *owners, uint32_t slot)
{
	uint16_t *known = &owners->slots[slot];
	size_t member;

	if (*known == UNKNOWN)
		*known = order_list(owners->order, slot, ORDER_NO_MEMBER, &member, 1)
				 ? owners->members[member]
				 : OWNER_NOBODY;
	return *known;
}

static unsigned int assigned_owner(struct owners *owners,
				   const struct cluster_assignment *assignment)
{
	const struct cluster_member *member;

	if (!assignment->member)
		return OWNER_VERDICT(assignment->verdict);
	member = membership_member(owners->map, assignment->member);
	if (member && !member->drained)
		return (unsigned int)(member - owners->map->members);
	return slot_owner(owners,
			  order_text_slot(owners->order, assignment->prefix, assignment->length));
}

static int fill_order(struct owners *owners)
{
	const struct membership *map = owners->map;

	for (size_t i = 0; i < map->member_count; i++) {
		const struct cluster_member *member = &map->members[i];

		if (member->drained)
			continue;
		owners->members[order_count(owners->order)] = (uint16_t)i;
		if (order_add(owners->order, member->name, member->weight))
			return -1;
	}
	return 0;
}

static int fill_prefixes(struct owners *owners)
{
	const struct membership *map = owners->map;
	struct byteset_conflict none;

	for (size_t i = 0; i < map->assignment_count; i++) {
		const struct cluster_assignment *one = &map->assignments[i];

		if (byteset_append(owners->prefixes, one->prefix, one->length, ICP_OP_HIT, 0))
			return -1;
		byteset_set_cost(owners->prefixes, (int)assigned_owner(owners, one));
	}
	return byteset_finish(owners->prefixes, &none) ? -1 : 0;
}

struct owners *owners_new(const struct membership *map)
{
	struct owners *owners = calloc(1, sizeof(*owners));

	if (!owners)
		return NULL;
	owners->map = map;
	owners->seed = order_seed(map->cluster);
	owners->order = order_new(owners->seed);
	owners->members = calloc(map->member_count + 1, sizeof(*owners->members));
	owners->slots = malloc(PARTITION_SLOTS * sizeof(*owners->slots));
	owners->prefixes = byteset_new();
	if (owners->slots)
		memset(owners->slots, 0xff, PARTITION_SLOTS * sizeof(*owners->slots));
	if (owners->order && owners->members && owners->slots && owners->prefixes &&
	    fill_order(owners) == 0 && fill_prefixes(owners) == 0)
		return owners;
	owners_free(owners);
	return NULL;
}

void owners_free(struct owners *owners)
{
	if (!owners)
		return;
	byteset_free(owners->prefixes);
	order_free(owners->order);
	free(owners->members);
	free(owners->slots);
	free(owners);
}

unsigned int owners_find(struct owners *owners, const char *url, size_t length,
			 const struct url_key *key, size_t *assigned)
{
	struct byteset_member prefix;
	struct url_key hashed;
	uint32_t slot;

	*assigned = 0;
	if (byteset_longest(owners->prefixes, url, length, &prefix)) {
		*assigned = prefix.length;
		return (unsigned int)prefix.cost;
	}
	hashed = *key;
	slot = partition_slot(
		partition_hash(owners->seed, &hashed, (const __u8 *)url, (uint32_t)length));
	return slot_owner(owners, slot);
}
