// SPDX-License-Identifier: GPL-2.0-or-later
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "xdp/destinations.h"

static const struct network_link *find_link(const struct network *network, unsigned int ifindex)
{
	for (size_t i = 0; i < network->link_count; i++)
		if (network->links[i].ifindex == ifindex)
			return &network->links[i];
	return NULL;
}

/* Does the stack accept a packet for this address that arrives on this interface? */
static bool is_local_on(const struct network_address *address, const struct network_link *link)
{
	const struct in6_addr *in6 = &address->address;

	/* 127.0.0.0/8 and ::1 are valid on the loopback interface only. */
	if ((IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == 127) || IN6_IS_ADDR_LOOPBACK(in6))
		return link->loopback;
	/* A link-local address is valid on its own link only. */
	if (IN6_IS_ADDR_LINKLOCAL(in6))
		return address->ifindex == link->ifindex;
	return true;
}

/* Does a socket bound to `listen` receive packets for the address? */
static bool is_listened_on(const struct in6_addr *address, const struct sockaddr_storage *listen)
{
	if (listen->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)listen;

		if (IN6_IS_ADDR_V4MAPPED(address)) /* the sockets are IPV6_V6ONLY */
			return false;
		return IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr) ||
		       IN6_ARE_ADDR_EQUAL(&in6->sin6_addr, address);
	} else {
		const struct sockaddr_in *in = (const struct sockaddr_in *)listen;

		if (!IN6_IS_ADDR_V4MAPPED(address))
			return false;
		return in->sin_addr.s_addr == htonl(INADDR_ANY) ||
		       memcmp(&in->sin_addr, &address->s6_addr[12], 4) == 0;
	}
}

static __be16 port_of(const struct sockaddr_storage *listen)
{
	return (ICP_FORCE __be16)(listen->ss_family == AF_INET6
					  ? ((const struct sockaddr_in6 *)listen)->sin6_port
					  : ((const struct sockaddr_in *)listen)->sin_port);
}

bool destination_is_listened_on(const struct destination_key *key,
				const struct sockaddr_storage *listen, size_t listen_count)
{
	struct in6_addr address;

	memcpy(&address, key->address, sizeof(address));
	for (size_t i = 0; i < listen_count; i++)
		if (key->port == port_of(&listen[i]) && is_listened_on(&address, &listen[i]))
			return true;
	return false;
}

struct kernel_destination *destinations(const struct sockaddr_storage *listen, size_t listen_count,
					const struct network *network,
					const unsigned int *interfaces, size_t interface_count,
					size_t *count)
{
	size_t most = (listen_count + 1) * network->address_count * interface_count;
	struct kernel_destination *list = calloc(most + 1, sizeof(*list));

	*count = 0;
	if (!list)
		return NULL;
	for (size_t i = 0; i < interface_count; i++) {
		const struct network_link *link = find_link(network, interfaces[i]);

		for (size_t a = 0; link && a < network->address_count; a++) {
			const struct network_address *address = &network->addresses[a];
			struct kernel_destination entry = {
				.key = { .ifindex = link->ifindex },
				.value = { .kind = address->broadcast ? DESTINATION_BROADCAST
								      : DESTINATION_HOST },
			};

			memcpy(entry.key.address, &address->address, sizeof(entry.key.address));
			if (address->broadcast) {
				list[(*count)++] = entry;
				continue;
			}
			if (!is_local_on(address, link))
				continue;
			memcpy(entry.value.mac, link->mac, sizeof(entry.value.mac));
			for (size_t l = 0; l < listen_count; l++) {
				if (!is_listened_on(&address->address, &listen[l]))
					continue;
				entry.key.port = port_of(&listen[l]);
				list[(*count)++] = entry;
			}
		}
	}
	return list;
}
