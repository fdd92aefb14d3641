// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>

#include "cluster/order.h"
#include "cluster/owners.h"
#include "lib/byteset.h"
#include "partition.h"

_Static_assert(OWNERS_MAX <= UINT16_MAX, "one more takes 16 bits");

/* The texts of prefixes stay in the map. */
static int fill(struct owners *owners, const struct membership *map)
{
	struct assignment_cursor cursor = assignments_begin(&map->assignments);
	const struct cluster_assignment *one;
	struct byteset_conflict none;

	for (size_t i = 0; i < map->member_count; i++)
		if (order_add(owners->order, map->members[i].name,
			      map->members[i].drained ? 0 : map->members[i].weight))
			return -1;
	byteset_lend(owners->prefixes);
	while ((one = assignments_next(&cursor)))
		if (byteset_append(owners->prefixes, one->prefix, one->length, ICP_OP_INVALID, 0))
			return -1;
	return byteset_finish(owners->prefixes, &none) ? -1 : 0;
}

struct owners *owners_new(const struct membership *map)
{
	struct owners *owners = calloc(1, sizeof(*owners));

	if (!owners)
		return NULL;
	owners->map = map;
	owners->order = order_new(order_seed(map->cluster));
	owners->prefixes = byteset_new();
	if (owners->order && owners->prefixes && fill(owners, map) == 0)
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
	free(owners->slots);
	free(owners);
}

size_t owners_member(const struct owners *owners, const char *name)
{
	const struct cluster_member *member = membership_member(owners->map, name);

	return member && !member->drained ? (size_t)(member - owners->map->members)
					  : ORDER_NO_MEMBER;
}

static struct ownership of_assignment(const struct owners *owners,
				      const struct cluster_assignment *assigned)
{
	return (struct ownership){
		.assigned = assigned,
		.slot = order_text_slot(owners->order, assigned->prefix, assigned->length),
		.first = assigned->member ? owners_member(owners, assigned->member)
					  : ORDER_NO_MEMBER,
	};
}

struct ownership owners_find(const struct owners *owners, const char *url, size_t length,
			     const struct url_key *key)
{
	struct byteset_member prefix;

	if (byteset_longest(owners->prefixes, url, length, &prefix))
		return of_assignment(owners, assignments_find(&owners->map->assignments,
							      prefix.text, prefix.length));
	return (struct ownership){
		.slot = order_url_slot(owners->order, url, length, *key),
		.first = ORDER_NO_MEMBER,
	};
}

/* The first member of a slot, which is looked for once. */
static unsigned int slot_owner(struct owners *owners, uint32_t slot)
{
	uint16_t unknown = 0, *known = &unknown;
	size_t member;

	if (!owners->slots)
		owners->slots = calloc(PARTITION_SLOTS, sizeof(*owners->slots));
	if (owners->slots)
		known = &owners->slots[slot];
	if (!*known)
		*known = 1 + (order_list(owners->order, slot, ORDER_NO_MEMBER, &member, 1)
				      ? (uint16_t)member
				      : OWNER_NOBODY);
	return *known - 1u;
}

unsigned int owners_owner(struct owners *owners, const struct ownership *ownership)
{
	if (ownership->assigned && !ownership->assigned->member)
		return OWNER_VERDICT(ownership->assigned->verdict);
	if (ownership->first != ORDER_NO_MEMBER)
		return (unsigned int)ownership->first;
	return slot_owner(owners, ownership->slot);
}
