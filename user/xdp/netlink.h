/* SPDX-License-Identifier: GPL-2.0-or-later */
/* This host's interfaces and addresses, by rtnetlink(7). */
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
	unsigned char mac[6]; /* zero if it has none */
};

struct network_address {
	struct in6_addr address; /* IPv4 as ::ffff:a.b.c.d */
	unsigned int ifindex;
	bool broadcast; /* a subnet's broadcast address, not an address of this host */
};

struct network {
	struct network_link *links;
	size_t link_count;
	struct network_address
		*addresses; /* without tentative ones (duplicate address detection) */
	size_t address_count;
};

/*
 * Read all interfaces and addresses. Return 0, or -1 and `error`; call network_free() in either
 * case.
 */
int network_read(struct network *network, struct error *error);
void network_free(struct network *network);

/*
 * Return a non-blocking file descriptor that becomes readable when interfaces or addresses change,
 * or -1 and `error`.
 */
int network_watch(struct error *error);

/* Consume the notifications. Return whether there were any. */
bool network_changed(int fd);

#endif
