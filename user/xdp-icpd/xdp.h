/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's part of the daemon: the interfaces with the program, and its maps. */
#ifndef XDP_ICP_DAEMON_XDP_H
#define XDP_ICP_DAEMON_XDP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "lib/error.h"
#include "xdp/kernel.h"

#define XDP_INTERFACES_MAX 256

struct xdp {
	struct pin_dir *pin_dir; /* NULL: none */
	struct kernel *kernel;	 /* NULL: userspace alone */
	bool has_chain;		 /* the active chain of the maps is the daemon's */
	char userspace_reason[sizeof(((struct error *)0)->text)]; /* why the kernel is not used */

	/* The addresses that are kept in the map of destinations, and what changes them. */
	const struct sockaddr_storage *listen;
	size_t listen_count;
	int network_fd; /* -1: closed */
	struct event *network, *second;
	size_t attached; /* interfaces with the program, as of the last check */
	struct kernel_interface attached_to[XDP_INTERFACES_MAX];
	bool lost; /* one has lost it since the start */
};

/* Store the interfaces with a recorded attachment, at most `max`; return their number. */
size_t xdp_interfaces(const struct xdp *xdp, struct kernel_interface *interfaces, size_t max);

/*
 * Return "native" if at least one interface is in native mode, else "generic" if at least one has
 * the program, else "userspace".
 */
const char *xdp_mode(const struct xdp *xdp);

/*
 * Keep the map of destinations equal to `listen`, which must remain valid, expanded to the host's
 * interfaces and addresses as they change. Return 0, or -1 and `error`; call xdp_unwatch_network()
 * in either case.
 */
int xdp_watch_network(struct xdp *xdp, const struct sockaddr_storage *listen, size_t listen_count,
		      struct event_base *base, struct error *error);
void xdp_unwatch_network(struct xdp *xdp);

#endif
