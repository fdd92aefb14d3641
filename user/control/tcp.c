// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "control/tcp.h"
#include "lib/sockaddr.h"

int control_tcp_bind(const struct sockaddr_storage *address, const char *option,
		     struct error *error)
{
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;

	if (fd < 0)
		return error_set(error, "%s: %s", option, strerror(errno));
	/* Else connections of the daemon before would keep the address for a minute. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address->ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (sockaddr_bind(fd, address, option, error) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Is the name of the host, with or without a port, this one? */
static bool is_name(const char *host, const char *name)
{
	size_t length = strlen(name);

	return length && strncasecmp(host, name, length) == 0 &&
	       (host[length] == ':' || host[length] == '\0');
}

bool control_tcp_host_is_own(const char *host)
{
	char own[HOST_NAME_MAX + 1] = "";
	struct sockaddr_storage address;
	struct error ignored;

	gethostname(own, sizeof(own) - 1);
	return is_name(host, "localhost") || is_name(host, own) ||
	       sockaddr_parse(host, 80, &address, &ignored) == 0;
}
