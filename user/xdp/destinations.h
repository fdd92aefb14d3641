/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel may answer for: the addresses listened on, as entries of its map. */
#ifndef XDP_ICP_DESTINATIONS_H
#define XDP_ICP_DESTINATIONS_H

#include <sys/socket.h>

#include "xdp/kernel.h"
#include "xdp/netlink.h"

/*
 * Of the addresses that `listen` stands for those that this host has now, on each of `interfaces`
 * where a packet for them would be taken, and the broadcast addresses. The list is for free();
 * NULL: out of memory.
 */
struct kernel_destination *destinations(const struct sockaddr_storage *listen, size_t listen_count,
					const struct network *network,
					const unsigned int *interfaces, size_t interface_count,
					size_t *count);

#endif
