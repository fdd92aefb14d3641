// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <unistd.h>

#include "xdp-icpd/xdp.h"
#include "xdp/destinations.h"
#include "lib/event.h"
#include "lib/log.h"
#include "lib/shell_quote.h"
#include "xdp/netlink.h"

size_t xdp_interfaces(const struct xdp *xdp, struct kernel_interface *interfaces, size_t max)
{
	size_t count = xdp->kernel ? kernel_interfaces(xdp->kernel, interfaces, max) : 0;

	return count < max ? count : max;
}

const char *xdp_mode(const struct xdp *xdp)
{
	struct kernel_interface interfaces[XDP_INTERFACES_MAX];
	size_t count = xdp_interfaces(xdp, interfaces, XDP_INTERFACES_MAX);
	const char *mode = "userspace";

	for (size_t i = 0; i < count; i++) {
		if (interfaces[i].attached && interfaces[i].native)
			return "native";
		if (interfaces[i].attached)
			mode = "generic";
	}
	return mode;
}

/* Return the interface with this index, or NULL. */
static const struct kernel_interface *find(const struct kernel_interface *list, size_t count,
					   unsigned int ifindex)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].ifindex == ifindex)
			return &list[i];
	return NULL;
}

/* Log once for each interface that has lost the program, and for each that has it again. */
static void log_interface_changes(struct xdp *xdp, const struct kernel_interface *interfaces,
				  size_t count)
{
	char quoted[SHELL_QUOTE_SIZE(sizeof(interfaces->name))];

	for (size_t k = 0; k < xdp->attached; k++) {
		const struct kernel_interface *had = &xdp->attached_to[k];
		const struct kernel_interface *now = find(interfaces, count, had->ifindex);

		if (now && now->attached)
			continue;
		xdp->lost = true;
		if (!now)
			log_write(LOG_NOTICE,
				  "the program was detached from interface %s; the daemon replies "
				  "there",
				  had->name);
		else if (!now->name[0])
			log_write(
				LOG_WARNING,
				"interface %s is gone, and the program with it; if it comes back: "
				"`xdp-icp-load %s`",
				had->name, shell_quote(had->name, quoted));
		else
			log_write(LOG_WARNING,
				  "interface %s no longer carries the program; the daemon replies "
				  "there",
				  had->name);
	}
	for (size_t i = 0; i < count; i++) {
		const struct kernel_interface *now = &interfaces[i];

		if (now->attached && !find(xdp->attached_to, xdp->attached, now->ifindex))
			log_write(xdp->lost ? LOG_NOTICE : LOG_INFO,
				  "interface %s carries the program, mode %s", now->name,
				  now->native ? "native" : "generic");
	}
}

static void update_destinations(struct xdp *xdp)
{
	struct kernel_interface interfaces[XDP_INTERFACES_MAX];
	unsigned int noted[XDP_INTERFACES_MAX];
	struct kernel_destination *list = NULL;
	struct network network;
	struct error error;
	size_t count, destination_count = 0;

	count = xdp_interfaces(xdp, interfaces, XDP_INTERFACES_MAX);
	log_interface_changes(xdp, interfaces, count);
	xdp->attached = 0;
	/*
	 * Entries for interfaces without the program do no harm, and leave no gap if it is attached
	 * again.
	 */
	for (size_t i = 0; i < count; i++) {
		noted[i] = interfaces[i].ifindex;
		if (interfaces[i].attached)
			xdp->attached_to[xdp->attached++] = interfaces[i];
	}
	if (network_read(&network, &error) == 0) {
		list = destinations(xdp->listen, xdp->listen_count, &network, noted, count,
				    &destination_count);
		if (!list)
			error_set(&error, "out of memory");
	}
	network_free(&network);
	/* On an error keep the entries: they are the best that is known. */
	if (!list || kernel_set_destinations(xdp->kernel, list, destination_count, &error))
		log_write(LOG_ERR, "%s", error.text);
	free(list);
}

/* Changes of the loader's records cause no events: check every second. */
static void on_second(evutil_socket_t fd, short what, void *context)
{
	struct kernel_interface interfaces[XDP_INTERFACES_MAX];
	struct xdp *xdp = context;
	size_t attached = 0, count;
	bool same = true;

	count = xdp_interfaces(xdp, interfaces, XDP_INTERFACES_MAX);
	for (size_t i = 0; i < count && same; i++)
		if (interfaces[i].attached)
			same = attached < xdp->attached &&
			       xdp->attached_to[attached++].ifindex == interfaces[i].ifindex;
	if (!same || attached != xdp->attached)
		update_destinations(xdp);
}

static void on_network(evutil_socket_t fd, short what, void *context)
{
	if (network_changed(fd))
		update_destinations(context);
}

int xdp_watch_network(struct xdp *xdp, const struct sockaddr_storage *listen, size_t listen_count,
		      struct event_base *base, struct error *error)
{
	static const struct timeval second = { .tv_sec = 1 };

	xdp->listen = listen;
	xdp->listen_count = listen_count;
	xdp->network_fd = network_watch(error);
	if (xdp->network_fd < 0)
		return -1;
	xdp->network = event_new(base, xdp->network_fd, EV_READ | EV_PERSIST, on_network, xdp);
	xdp->second = event_new(base, -1, EV_PERSIST, on_second, xdp);
	if (!xdp->network || event_add(xdp->network, NULL) || !xdp->second ||
	    event_add(xdp->second, &second))
		return error_set(error, "out of memory");
	update_destinations(xdp);
	return 0;
}

void xdp_unwatch_network(struct xdp *xdp)
{
	event_drop(xdp->network);
	event_drop(xdp->second);
	if (xdp->network_fd >= 0)
		close(xdp->network_fd);
}
