/* SPDX-License-Identifier: GPL-2.0-or-later */
/* This host's interfaces and addresses as the kernel tells them by rtnetlink(7). */
#ifndef XDP_ICP_NETWORK_H
#define XDP_ICP_NETWORK_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"

struct network_link {
	unsigned int ifindex;
	bool loopback;
	unsigned char mac[6]; /* zero where there is none */
};

struct network_address {
	struct in6_addr address; /* IPv4 as ::ffff:a.b.c.d */
	unsigned int ifindex;
	bool broadcast; /* not an address of ours, but a subnet's broadcast address */
};

struct network {
	struct network_link *links;
	size_t link_count;
	struct network_address *addresses; /* none that is still being checked for duplicates */
	size_t address_count;
};

/* Asks for all. Returns 0, or -1 and `error`; network_free() afterwards in either case. */
int network_read(struct network *network, struct error *error);
void network_free(struct network *network);

/*
 * A file descriptor, non-blocking, that becomes readable when interfaces or addresses change.
 * -1 and `error` on failure.
 */
int network_watch(struct error *error);

/* Reads what has come. Returns whether anything has changed. */
bool network_changed(int fd);

#endif
