/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A set of networks. Addresses are those of IPv6; an IPv4 network a.b.c.d/n is
 * ::ffff:a.b.c.d/(96+n), as struct query has it.
 *
 * A network of IPv6 holds no IPv4 address, not even ::/0: what is written that spans
 * ::ffff:0:0/96 is kept as the networks around it, at most 96 of them.
 *
 * First networks are added, then the set is finished, and from then on looked at.
 */
#ifndef XDP_ICP_NETSET_H
#define XDP_ICP_NETSET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"

struct netset;

struct netset_network {
	struct in6_addr address; /* all bits behind the prefix are 0 */
	unsigned int bits;	 /* of the prefix, 0 to 128 */
};

/*
 * Reads ADDRESS or ADDRESS/BITS of IPv4 or IPv6. -1 with an error without a place, such as for an
 * address with bits set behind the prefix.
 */
int netset_network_parse(const char *text, struct netset_network *network, struct error *error);

/* An empty set, not finished. NULL: out of memory. */
struct netset *netset_new(void);

/* `set` may be NULL. */
void netset_free(struct netset *set);

/* Adds a network as netset_network_parse() makes it. -1: out of memory. */
int netset_add(struct netset *set, const struct netset_network *network);

/* Makes the set ready for use; networks that lie within others are dropped. */
void netset_finish(struct netset *set);

/* Does one of the networks hold the address? */
bool netset_contains(const struct netset *set, const struct in6_addr *address);

/* The number of networks; no two of them have an address in common. */
size_t netset_count(const struct netset *set);

/* The network of a number from 0 to netset_count() - 1, in the order of their addresses. */
struct netset_network netset_get(const struct netset *set, size_t number);

#endif
