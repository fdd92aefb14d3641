/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A set of networks. Addresses are those of IPv6; the IPv4 network a.b.c.d/n is
 * ::ffff:a.b.c.d/(96+n), as in struct query.
 *
 * An IPv6 network contains no IPv4 address, not even ::/0 does: one that spans ::ffff:0:0/96 is
 * stored as the networks around that, at most 96.
 *
 * First add networks, then call netset_finish(), then look up addresses.
 */
#ifndef XDP_ICP_NETSET_H
#define XDP_ICP_NETSET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"

struct netset;

struct netset_network {
	struct in6_addr address; /* all bits after the prefix are 0 */
	unsigned int bits;	 /* of the prefix, 0 to 128 */
};

/*
 * Parse ADDRESS or ADDRESS/BITS, IPv4 or IPv6. -1 with an error that does not name the place; bits
 * that are set after the prefix are an error too.
 */
int netset_network_parse(const char *text, struct netset_network *network, struct error *error);

/* Return an empty set. NULL: out of memory. */
struct netset *netset_new(void);

/* NULL is ignored. */
void netset_free(struct netset *set);

/* Add a network as returned by netset_network_parse(). -1: out of memory. */
int netset_add(struct netset *set, const struct netset_network *network);

/* Prepare the set for lookups; networks within others are dropped. */
void netset_finish(struct netset *set);

/* Is the address in one of the networks? */
bool netset_contains(const struct netset *set, const struct in6_addr *address);

/* Return the number of networks, which do not overlap. */
size_t netset_count(const struct netset *set);

/* Return the network of an index from 0 to netset_count() - 1, in the order of addresses. */
struct netset_network netset_get(const struct netset *set, size_t index);

#endif
