// SPDX-License-Identifier: GPL-2.0-or-later
/* Keep the kernel up to date about interfaces and addresses. */
#include <stdlib.h>
#include <unistd.h>

#include "xdp-icpd/daemon.h"
#include "xdp/destinations.h"
#include "lib/log.h"
#include "xdp/netlink.h"

/* Log once for each interface that has lost the program, and for each that has it again. */
static void log_interface_changes(struct daemon *daemon, const struct kernel_interface *interfaces,
				  size_t count)
{
	for (size_t k = 0; k < daemon->attached; k++) {
		bool noted = false;

		for (size_t i = 0; i < count; i++)
			noted = noted || daemon->attached_to[k] == interfaces[i].ifindex;
		if (!noted)
			log_write(LOG_NOTICE,
				  "the program was detached from interface %u; the daemon replies "
				  "there",
				  daemon->attached_to[k]);
	}
	for (size_t i = 0; i < count; i++) {
		bool had = false;

		for (size_t k = 0; k < daemon->attached; k++)
			had = had || daemon->attached_to[k] == interfaces[i].ifindex;
		if (had && !interfaces[i].attached)
			log_write(LOG_WARNING,
				  "interface %s no longer carries the program; the daemon replies "
				  "there",
				  interfaces[i].name[0] ? interfaces[i].name : "(gone)");
		else if (!had && interfaces[i].attached)
			log_write(LOG_INFO, "interface %s carries the program, mode %s",
				  interfaces[i].name, interfaces[i].native ? "native" : "generic");
	}
}

void daemon_update_destinations(struct daemon *daemon)
{
	struct kernel_interface interfaces[DAEMON_INTERFACES_MAX];
	unsigned int noted[DAEMON_INTERFACES_MAX];
	struct kernel_destination *list = NULL;
	struct network network;
	struct error error;
	size_t count, destination_count = 0;

	count = daemon_interfaces(daemon, interfaces, DAEMON_INTERFACES_MAX);
	log_interface_changes(daemon, interfaces, count);
	daemon->attached = 0;
	/*
	 * Entries for interfaces without the program do no harm, and leave no gap if it is attached
	 * again.
	 */
	for (size_t i = 0; i < count; i++) {
		noted[i] = interfaces[i].ifindex;
		if (interfaces[i].attached)
			daemon->attached_to[daemon->attached++] = interfaces[i].ifindex;
	}
	if (network_read(&network, &error) == 0) {
		list = destinations(daemon->config->listen, daemon->config->listen_count, &network,
				    noted, count, &destination_count);
		if (!list)
			error_set(&error, "out of memory");
	}
	network_free(&network);
	/* On an error keep the entries: they are the best that is known. */
	if (!list || kernel_set_destinations(daemon->kernel, list, destination_count, &error))
		log_write(LOG_ERR, "%s", error.text);
	free(list);
}

/* Changes of the loader's records cause no events: check every second. */
static void on_second(evutil_socket_t fd, short what, void *context)
{
	struct kernel_interface interfaces[DAEMON_INTERFACES_MAX];
	struct daemon *daemon = context;
	size_t attached = 0, count;
	bool same = true;

	(void)fd;
	(void)what;
	count = daemon_interfaces(daemon, interfaces, DAEMON_INTERFACES_MAX);
	for (size_t i = 0; i < count && same; i++)
		if (interfaces[i].attached)
			same = attached < daemon->attached &&
			       daemon->attached_to[attached++] == interfaces[i].ifindex;
	if (!same || attached != daemon->attached)
		daemon_update_destinations(daemon);
}

static void on_network(evutil_socket_t fd, short what, void *context)
{
	(void)what;
	if (network_changed(fd))
		daemon_update_destinations(context);
}

int daemon_watch_network(struct daemon *daemon, struct error *error)
{
	static const struct timeval second = { .tv_sec = 1 };

	daemon->network_fd = network_watch(error);
	if (daemon->network_fd < 0)
		return -1;
	daemon->network = event_new(daemon->base, daemon->network_fd, EV_READ | EV_PERSIST,
				    on_network, daemon);
	daemon->second = event_new(daemon->base, -1, EV_PERSIST, on_second, daemon);
	if (!daemon->network || event_add(daemon->network, NULL) || !daemon->second ||
	    event_add(daemon->second, &second))
		return error_set(error, "out of memory");
	return 0;
}

void daemon_unwatch_network(struct daemon *daemon)
{
	if (daemon->network)
		event_free(daemon->network);
	if (daemon->second)
		event_free(daemon->second);
	if (daemon->network_fd >= 0)
		close(daemon->network_fd);
}
