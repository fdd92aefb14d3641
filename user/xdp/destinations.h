/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The addresses that the kernel replies for, as entries of the map `destinations`. */
#ifndef XDP_ICP_DESTINATIONS_H
#define XDP_ICP_DESTINATIONS_H

#include <sys/socket.h>

#include "xdp/kernel.h"
#include "xdp/netlink.h"

/*
 * Expand `listen` to the addresses that this host has now, on each of `interfaces` where the stack
 * would accept a packet for them, and add the broadcast addresses. Return a list for free(), of
 * *count entries; NULL: out of memory.
 */
struct kernel_destination *destinations(const struct sockaddr_storage *listen, size_t listen_count,
					const struct network *network,
					const unsigned int *interfaces, size_t interface_count,
					size_t *count);

/* Does a daemon with this `listen` receive what is sent to the address and port of an entry? */
bool destination_is_listened_on(const struct destination_key *key,
				const struct sockaddr_storage *listen, size_t listen_count);

#endif
