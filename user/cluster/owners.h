/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The owners of URLs by the map of a cluster (membership.h): the longest assigned prefix decides,
 * else the slot of the URL's key (partition.h). If the prefix is assigned to a member that takes
 * part, that member comes first, and all others follow in the order of the prefix's own slot
 * (order.h).
 */
#ifndef XDP_ICP_CLUSTER_OWNERS_H
#define XDP_ICP_CLUSTER_OWNERS_H

#include <stddef.h>
#include <stdint.h>

#include "cluster/membership.h"

struct byteset;
struct url_key;

/* Members and prefixes are numbered as in the map. */
struct owners {
	const struct membership *map;
	struct order *order;	  /* those that are drained take no part */
	struct byteset *prefixes; /* assigned; the caller sets the verdicts in the set */
	uint16_t *slots;	  /* the owner of each + 1, or 0: unknown; NULL: all are */
};

/* What has the same owner and successors. */
struct ownership {
	const struct cluster_assignment *assigned; /* whose prefix decides; NULL: none */
	uint32_t slot;
	size_t first; /* the member before those of the slot, or ORDER_NO_MEMBER */
};

/* The map must outlive the owners. NULL: out of memory. */
struct owners *owners_new(const struct membership *map);
void owners_free(struct owners *owners); /* NULL is ignored */

/* The number of a member that takes part, or ORDER_NO_MEMBER. */
size_t owners_member(const struct owners *owners, const char *name);

/* Return the ownership of a URL with this key (url_key.h). */
struct ownership owners_find(const struct owners *owners, const char *url, size_t length,
			     const struct url_key *key);

/*
 * An owner is the number of a member, or one of these: a verdict that all members give, or no member
 * at all.
 */
#define OWNER_VERDICT(verdict) (MEMBERSHIP_MEMBERS_MAX + (unsigned int)(verdict))
#define OWNER_NOBODY (MEMBERSHIP_MEMBERS_MAX + 256u)
#define OWNERS_MAX (OWNER_NOBODY + 1)

/* Return the owner. Not thread-safe: the owners of slots are cached. */
unsigned int owners_owner(struct owners *owners, const struct ownership *ownership);

#endif
