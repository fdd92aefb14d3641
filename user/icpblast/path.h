/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The path to the responder: the interface, the addresses of both ends, whether it may be used. */
#ifndef XDP_ICP_BLAST_PATH_H
#define XDP_ICP_BLAST_PATH_H

#include <linux/types.h>
#include <net/if.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "lib/error.h"

struct blast_path {
	unsigned int ifindex;
	char name[IF_NAMESIZE];
	bool loopback;
	bool veth; /* and its peer is not part of a bridge or the like */
	bool ipv6;
	unsigned char own_mac[6];
	unsigned char mac[6]; /* of the responder; zero for the loopback interface */
	__u32 own[4];	      /* network order, IPv4 in the last */
	__u32 address[4];
};

/*
 * Find the interface by which the kernel sends to the address. `mac` has 6 bytes; if it is NULL, an
 * empty datagram is sent to resolve the MAC address.
 *
 * Unless `anywhere`, refuse interfaces by which queries may leave this machine: all but the loopback
 * interface and a veth. Returns 0, or -1 with an error; `*refused` tells whether this was the reason.
 */
int blast_path_find(struct blast_path *path, const struct sockaddr_storage *address,
		    const unsigned char *mac, bool anywhere, bool *refused, struct error *error);

#endif
