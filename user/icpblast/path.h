/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way to the responder: the interface, both ends' addresses, and whether it may be taken. */
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
	bool veth; /* whose other end is no part of a bridge or the like */
	bool ipv6;
	unsigned char own_mac[6];
	unsigned char mac[6]; /* of the responder; zero for the loopback interface */
	__u32 own[4];	      /* network order, IPv4 in the last */
	__u32 address[4];
};

/*
 * Finds the interface by which the kernel would send to the address. Nothing is sent, but an empty
 * datagram to find out the MAC address, if that is allowed and `mac` (6 bytes) is NULL.
 *
 * Refuses, unless `anywhere`, what may lead off this machine: all but the loopback interface and a
 * veth. Returns 0; -1 and `error`, with `refused` telling whether that was the reason.
 */
int blast_path_find(struct blast_path *path, const struct sockaddr_storage *address,
		    const unsigned char *mac, bool anywhere, bool *refused, struct error *error);

#endif
