// SPDX-License-Identifier: GPL-2.0-or-later
/* What the kernel is told of this host's interfaces and addresses, and when. */
#include <stdlib.h>
#include <unistd.h>

#include "xdp-icpd/daemon.h"
#include "xdp/destinations.h"
#include "lib/log.h"
#include "xdp/netlink.h"

/* Tells once of each interface that it has lost the program, and of each that it has it again. */
static void tell_of_interfaces(struct daemon *daemon, const struct kernel_interface *interfaces,
			       size_t count)
{
	for (size_t k = 0; k < daemon->attached; k++) {
		bool noted = false;

		for (size_t i = 0; i < count; i++)
			noted = noted || daemon->attached_to[k] == interfaces[i].ifindex;
		if (!noted)
			log_write(LOG_NOTICE,
				  "the program was taken off interface %u; what comes in there is "
				  "answered here",
				  daemon->attached_to[k]);
	}
	for (size_t i = 0; i < count; i++) {
		bool had = false;

		for (size_t k = 0; k < daemon->attached; k++)
			had = had || daemon->attached_to[k] == interfaces[i].ifindex;
		if (had && !interfaces[i].attached)
			log_write(LOG_WARNING,
				  "interface %s no longer carries the program; what comes in there "
				  "is answered by the daemon",
				  interfaces[i].name[0] ? interfaces[i].name : "(gone)");
		else if (!had && interfaces[i].attached)
			log_write(LOG_INFO, "interface %s carries the program, mode %s",
				  interfaces[i].name, interfaces[i].native ? "native" : "generic");
	}
}

void daemon_follow_network(struct daemon *daemon)
{
	struct kernel_interface interfaces[DAEMON_INTERFACES_MAX];
	unsigned int noted[DAEMON_INTERFACES_MAX];
	struct kernel_destination *list = NULL;
	struct network network;
	struct error error;
	size_t count, destination_count = 0;

	count = daemon_interfaces(daemon, interfaces, DAEMON_INTERFACES_MAX);
	tell_of_interfaces(daemon, interfaces, count);
	daemon->attached = 0;
	/*
	 * Where the program is not attached just now the entries do no harm, and there is no gap
	 * if it comes back.
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
	/* On an error what was true before still is, as far as anybody knows. */
	if (!list || kernel_set_destinations(daemon->kernel, list, destination_count, &error))
		log_write(LOG_ERR, "%s", error.text);
	free(list);
}

/* The loader's notes make no noise when they change: looked at every second. */
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
		daemon_follow_network(daemon);
}

static void on_network(evutil_socket_t fd, short what, void *context)
{
	(void)what;
	if (network_changed(fd))
		daemon_follow_network(context);
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
