// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "icpblast/path.h"
#include "xdp/netlink.h"
#include "lib/sockaddr.h"

#define DISCARD 9	    /* a port, RFC 863 */
#define NEIGHBOUR_TRIES 150 /* of 20 ms each: the kernel asks three times, a second apart */

/* --- rtnetlink */

/* What is read of a link, a neighbour or a route. */
struct reply {
	char kind[16];
	bool has_master;
	unsigned int peer;
	bool has_namespace;
	__u32 namespace;  /* of the peer, as this namespace numbers it */
	unsigned int out; /* interface of a route */
	bool has_mac;
	unsigned char mac[6];
};

static void read_kind(const struct nlattr *info, struct reply *reply)
{
	struct nlattr *attribute;

	mnl_attr_for_each_nested(attribute, info)
	{
		if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND)
			snprintf(reply->kind, sizeof(reply->kind), "%s",
				 mnl_attr_get_str(attribute));
	}
}

static int on_link(const struct nlmsghdr *message, struct reply *reply)
{
	struct nlattr *attribute;

	mnl_attr_for_each(attribute, message, sizeof(struct ifinfomsg))
	{
		switch (mnl_attr_get_type(attribute)) {
		case IFLA_LINKINFO:
			read_kind(attribute, reply);
			break;
		case IFLA_MASTER:
			reply->has_master = true;
			break;
		case IFLA_LINK:
			reply->peer = mnl_attr_get_u32(attribute);
			break;
		case IFLA_LINK_NETNSID:
			reply->has_namespace = true;
			reply->namespace = mnl_attr_get_u32(attribute);
			break;
		}
	}
	return MNL_CB_OK;
}

static int on_neighbour(const struct nlmsghdr *message, struct reply *reply)
{
	const struct ndmsg *neighbour = mnl_nlmsg_get_payload(message);
	struct nlattr *attribute;

	if (!(neighbour->ndm_state &
	      (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT)))
		return MNL_CB_OK;
	mnl_attr_for_each(attribute, message, sizeof(*neighbour))
	{
		if (mnl_attr_get_type(attribute) == NDA_LLADDR &&
		    mnl_attr_get_payload_len(attribute) == sizeof(reply->mac)) {
			memcpy(reply->mac, mnl_attr_get_payload(attribute), sizeof(reply->mac));
			reply->has_mac = true;
		}
	}
	return MNL_CB_OK;
}

static int on_route(const struct nlmsghdr *message, struct reply *reply)
{
	struct nlattr *attribute;

	mnl_attr_for_each(attribute, message, sizeof(struct rtmsg))
	{
		if (mnl_attr_get_type(attribute) == RTA_OIF)
			reply->out = mnl_attr_get_u32(attribute);
	}
	return MNL_CB_OK;
}

static int on_message(const struct nlmsghdr *message, void *reply)
{
	if (message->nlmsg_type == RTM_NEWLINK)
		return on_link(message, reply);
	if (message->nlmsg_type == RTM_NEWNEIGH)
		return on_neighbour(message, reply);
	if (message->nlmsg_type == RTM_NEWROUTE)
		return on_route(message, reply);
	return MNL_CB_OK;
}

/* Send a request and read the reply. Returns 0, or -1 with errno. */
static int exchange(void *message, struct reply *reply)
{
	struct nlmsghdr *request = message;
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	char buffer[32768]; /* a link has many attributes */
	ssize_t received = -1;
	int result = -1;

	memset(reply, 0, sizeof(*reply));
	if (!socket)
		return -1;
	request->nlmsg_seq = 1;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0 &&
	    mnl_socket_sendto(socket, request, request->nlmsg_len) >= 0)
		received = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	if (received >= 0)
		result = mnl_cb_run(buffer, received, 1, mnl_socket_get_portid(socket), on_message,
				    reply);
	mnl_socket_close(socket);
	return result < 0 ? -1 : 0;
}

#define REQUEST_SIZE 256

/* Begin a request in a buffer of REQUEST_SIZE bytes. Returns its header of `size` bytes, zeroed. */
static void *begin_request(char *buffer, __u16 type, size_t size)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

	request->nlmsg_type = type;
	request->nlmsg_flags = NLM_F_REQUEST;
	return mnl_nlmsg_put_extra_header(request, size);
}

static void put_address(const struct blast_path *path, char *buffer, __u16 attribute,
			const __u32 address[4])
{
	size_t size = path->ipv6 ? 16 : 4;

	mnl_attr_put((struct nlmsghdr *)buffer, attribute, size, (const char *)address + 16 - size);
}

/* Read a link of this network namespace, or of the one with the number `*namespace`. */
static int get_link(unsigned int ifindex, const __u32 *namespace, struct reply *reply)
{
	char buffer[REQUEST_SIZE];
	struct ifinfomsg *info = begin_request(buffer, RTM_GETLINK, sizeof(*info));

	info->ifi_index = ifindex;
	if (namespace)
		mnl_attr_put_u32((struct nlmsghdr *)buffer, IFLA_TARGET_NETNSID, *namespace);
	return exchange(buffer, reply);
}

static int get_neighbour(const struct blast_path *path, struct reply *reply)
{
	char buffer[REQUEST_SIZE];
	struct ndmsg *neighbour = begin_request(buffer, RTM_GETNEIGH, sizeof(*neighbour));

	neighbour->ndm_family = path->ipv6 ? AF_INET6 : AF_INET;
	neighbour->ndm_ifindex = path->ifindex;
	put_address(path, buffer, NDA_DST, path->address);
	return exchange(buffer, reply);
}

/* Look up the route, as the kernel does for a socket that has this source address. */
static int get_route(const struct blast_path *path, struct reply *reply)
{
	char buffer[REQUEST_SIZE];
	struct rtmsg *route = begin_request(buffer, RTM_GETROUTE, sizeof(*route));

	route->rtm_family = path->ipv6 ? AF_INET6 : AF_INET;
	route->rtm_dst_len = route->rtm_src_len = path->ipv6 ? 128 : 32;
	put_address(path, buffer, RTA_DST, path->address);
	put_address(path, buffer, RTA_SRC, path->own);
	return exchange(buffer, reply);
}

/* --- the path */

/* Set path->veth. Behind a veth whose peer is part of a bridge anything may follow. */
static int check_veth(struct blast_path *path, struct error *error)
{
	struct reply link, peer;

	if (get_link(path->ifindex, NULL, &link))
		return error_set(error, "interface %s: %s", path->name, strerror(errno));
	if (strcmp(link.kind, "veth") != 0 || link.has_master || !link.peer)
		return 0;
	if (get_link(link.peer, link.has_namespace ? &link.namespace : NULL, &peer) == 0)
		path->veth = !peer.has_master;
	else if (errno == EACCES || errno == EPERM)
		return error_set(error,
				 "interface %s: cannot see where its other end leads: %s; "
				 "it needs root",
				 path->name, strerror(errno));
	return 0;
}

/*
 * Send an empty datagram to the port "discard", so that the kernel resolves the MAC address. (NTF_USE
 * needs no datagram, but resolves IPv6 only if the interface has a link-local address.)
 */
static void trigger_resolution(const struct sockaddr_storage *address)
{
	struct sockaddr_storage discard = *address;
	int fd = socket(address->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	((struct sockaddr_in *)&discard)->sin_port = htons(DISCARD); /* the same place for IPv6 */
	if (fd < 0)
		return;
	/* The neighbour table tells whether it worked. */
	(void)!sendto(fd, NULL, 0, 0, (struct sockaddr *)&discard, sizeof(discard));
	close(fd);
}

static int find_mac(struct blast_path *path, const struct sockaddr_storage *address,
		    const char *text, struct error *error)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	struct reply reply;

	trigger_resolution(address);
	for (int i = 0; i < NEIGHBOUR_TRIES; i++) {
		if (get_neighbour(path, &reply) == 0 && reply.has_mac) {
			memcpy(path->mac, reply.mac, sizeof(path->mac));
			return 0;
		}
		nanosleep(&pause, NULL);
	}
	return error_set(
		error,
		"%s on %s: no host there has this address; it must be on the same link, or "
		"give the MAC address of the next hop with --mac",
		text, path->name);
}

static void address_words(const struct sockaddr_storage *address, __u32 words[4])
{
	memset(words, 0, 16);
	if (address->ss_family == AF_INET6)
		memcpy(words, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
	else
		memcpy(words + 3, &((const struct sockaddr_in *)address)->sin_addr, 4);
}

/* The kernel sends IPv4 to such an address, while the frames here would be IPv6. */
static int refuse_mapped(const struct sockaddr_storage *address, const char *text,
			 struct error *error)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
	const unsigned char *byte = in6->sin6_addr.s6_addr;

	if (in6->sin6_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		return 0;
	return error_set(error, "%s is an IPv4 address; write it as %u.%u.%u.%u:%u", text, byte[12],
			 byte[13], byte[14], byte[15], ntohs(in6->sin6_port));
}

/* Find the address that the kernel would send from. */
static int find_own_address(const struct sockaddr_storage *address, struct sockaddr_storage *own,
			    const char *text, struct error *error)
{
	int fd = socket(address->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(*own);
	int result = 0;

	memset(own, 0, sizeof(*own));
	if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)) ||
	    getsockname(fd, (struct sockaddr *)own, &size))
		result = error_set(error, "%s: %s", text, strerror(errno));
	if (fd >= 0)
		close(fd);
	return result;
}

/* The interface that the route names: the one that has the source address may be another. */
static int find_interface(struct blast_path *path, const char *text, struct error *error)
{
	struct network network;
	struct reply route;
	int result;

	if (get_route(path, &route) || !if_indextoname(route.out, path->name))
		return error_set(error, "%s: no interface leads there; `ip route get` tells why",
				 text);
	path->ifindex = route.out;
	result = network_read(&network, error);
	for (size_t i = 0; i < network.link_count && result == 0; i++) {
		const struct network_link *link = &network.links[i];

		if (link->ifindex != path->ifindex)
			continue;
		path->loopback = link->loopback;
		memcpy(path->own_mac, link->mac, sizeof(path->own_mac));
	}
	network_free(&network);
	return result;
}

int blast_path_find(struct blast_path *path, const struct sockaddr_storage *address,
		    const unsigned char *mac, bool anywhere, bool *refused, struct error *error)
{
	struct sockaddr_storage own;
	char text[SOCKADDR_TEXT_SIZE];

	*refused = false;
	memset(path, 0, sizeof(*path));
	sockaddr_text(address, text);
	if (refuse_mapped(address, text, error) || find_own_address(address, &own, text, error))
		return -1;
	path->ipv6 = address->ss_family == AF_INET6;
	address_words(address, path->address);
	address_words(&own, path->own);
	if (find_interface(path, text, error) || check_veth(path, error))
		return -1;
	if (!path->loopback && !path->veth && !anywhere) {
		*refused = true;
		return error_set(
			error,
			"%s: %s is neither the loopback interface nor a veth into another "
			"namespace, so the flood may leave this machine; --anywhere sends it "
			"nevertheless",
			text, path->name);
	}
	if (mac)
		memcpy(path->mac, mac, sizeof(path->mac));
	else if (!path->loopback && find_mac(path, address, text, error))
		return -1;
	return 0;
}
