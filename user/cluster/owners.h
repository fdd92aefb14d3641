/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The owner of each URL by a map of a cluster (membership.h), as the members compute it: the longest
 * assigned prefix decides, else the order of the key's slot (order.h).
 */
#ifndef XDP_ICP_CLUSTER_OWNERS_H
#define XDP_ICP_CLUSTER_OWNERS_H

#include <stddef.h>

#include "cluster/membership.h"

/*
 * An owner is the number of a member in the map, or one of these: a verdict that all members give, or
 * no member at all.
 */
#define OWNER_VERDICT(verdict) (MEMBERSHIP_MEMBERS_MAX + (unsigned int)(verdict))
#define OWNER_NOBODY (MEMBERSHIP_MEMBERS_MAX + 256u)
#define OWNERS_MAX (OWNER_NOBODY + 1)

struct url_key;
struct owners;

/* The map must outlive the owners. NULL: out of memory. */
struct owners *owners_new(const struct membership *map);
void owners_free(struct owners *owners); /* NULL is ignored */

/*
 * Return the owner of a URL with this key (url_key.h), and the length of the assigned prefix that
 * decides, 0 if none does. Not for several threads at a time: owners of slots are remembered.
 */
unsigned int owners_find(struct owners *owners, const char *url, size_t length,
			 const struct url_key *key, size_t *assigned);

#endif
