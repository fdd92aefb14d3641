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

/* What is asked of a link, or of a neighbour. */
struct told {
	char kind[16];
	bool has_master;
	unsigned int peer;
	bool has_namespace;
	__u32 namespace; /* the peer's, as a number of this one */
	bool has_mac;
	unsigned char mac[6];
};

static void read_kind(const struct nlattr *info, struct told *told)
{
	struct nlattr *attribute;

	mnl_attr_for_each_nested(attribute, info)
	{
		if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND)
			snprintf(told->kind, sizeof(told->kind), "%s", mnl_attr_get_str(attribute));
	}
}

static int on_link(const struct nlmsghdr *message, struct told *told)
{
	struct nlattr *attribute;

	mnl_attr_for_each(attribute, message, sizeof(struct ifinfomsg))
	{
		switch (mnl_attr_get_type(attribute)) {
		case IFLA_LINKINFO:
			read_kind(attribute, told);
			break;
		case IFLA_MASTER:
			told->has_master = true;
			break;
		case IFLA_LINK:
			told->peer = mnl_attr_get_u32(attribute);
			break;
		case IFLA_LINK_NETNSID:
			told->has_namespace = true;
			told->namespace = mnl_attr_get_u32(attribute);
			break;
		}
	}
	return MNL_CB_OK;
}

static int on_neighbour(const struct nlmsghdr *message, struct told *told)
{
	const struct ndmsg *neighbour = mnl_nlmsg_get_payload(message);
	struct nlattr *attribute;

	if (!(neighbour->ndm_state &
	      (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT)))
		return MNL_CB_OK;
	mnl_attr_for_each(attribute, message, sizeof(*neighbour))
	{
		if (mnl_attr_get_type(attribute) == NDA_LLADDR &&
		    mnl_attr_get_payload_len(attribute) == sizeof(told->mac)) {
			memcpy(told->mac, mnl_attr_get_payload(attribute), sizeof(told->mac));
			told->has_mac = true;
		}
	}
	return MNL_CB_OK;
}

static int on_message(const struct nlmsghdr *message, void *told)
{
	if (message->nlmsg_type == RTM_NEWLINK)
		return on_link(message, told);
	if (message->nlmsg_type == RTM_NEWNEIGH)
		return on_neighbour(message, told);
	return MNL_CB_OK;
}

/* Sends the request and reads the answer into `told`. -1 and errno on failure. */
static int exchange(struct nlmsghdr *request, struct told *told)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	char buffer[32768]; /* a link tells much of itself */
	ssize_t received = -1;
	int result = -1;

	memset(told, 0, sizeof(*told));
	if (!socket)
		return -1;
	request->nlmsg_seq = 1;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0 &&
	    mnl_socket_sendto(socket, request, request->nlmsg_len) >= 0)
		received = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	if (received >= 0)
		result = mnl_cb_run(buffer, received, 1, mnl_socket_get_portid(socket), on_message,
				    told);
	mnl_socket_close(socket);
	return result < 0 ? -1 : 0;
}

/* Of an interface of this namespace, or of the one with the number `*namespace`. */
static int ask_link(unsigned int ifindex, const __u32 *namespace, struct told *told)
{
	char buffer[256];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *info;

	request->nlmsg_type = RTM_GETLINK;
	request->nlmsg_flags = NLM_F_REQUEST;
	info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->ifi_index = ifindex;
	if (namespace)
		mnl_attr_put_u32(request, IFLA_TARGET_NETNSID, *namespace);
	return exchange(request, told);
}

static int ask_neighbour(const struct blast_path *path, struct told *told)
{
	char buffer[256];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	size_t size = path->ipv6 ? 16 : 4;
	struct ndmsg *neighbour;

	request->nlmsg_type = RTM_GETNEIGH;
	request->nlmsg_flags = NLM_F_REQUEST;
	neighbour = mnl_nlmsg_put_extra_header(request, sizeof(*neighbour));
	neighbour->ndm_family = path->ipv6 ? AF_INET6 : AF_INET;
	neighbour->ndm_ifindex = path->ifindex;
	mnl_attr_put(request, NDA_DST, size, (const char *)path->address + 16 - size);
	return exchange(request, told);
}

/* --- the way */

/* Does it end in another namespace? A veth whose other end is in a bridge may lead anywhere. */
static int find_kind(struct blast_path *path, struct error *error)
{
	struct told link, peer;

	if (ask_link(path->ifindex, NULL, &link))
		return error_set(error, "interface %s: %s", path->name, strerror(errno));
	if (strcmp(link.kind, "veth") != 0 || link.has_master || !link.peer)
		return 0;
	path->veth = ask_link(link.peer, link.has_namespace ? &link.namespace : NULL, &peer) == 0 &&
		     !peer.has_master;
	return 0;
}

/*
 * An empty datagram to the port "discard", so that the kernel asks for the MAC address. (Without a
 * datagram, NTF_USE, it asks by IPv6 only if the interface has a link-local address.)
 */
static void poke(const struct sockaddr_storage *address)
{
	struct sockaddr_storage discard = *address;
	int fd = socket(address->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	((struct sockaddr_in *)&discard)->sin_port = htons(DISCARD); /* the same place for IPv6 */
	if (fd < 0)
		return;
	/* Whether that went well shows in the neighbour table. */
	(void)!sendto(fd, NULL, 0, 0, (struct sockaddr *)&discard, sizeof(discard));
	close(fd);
}

static int find_mac(struct blast_path *path, const struct sockaddr_storage *address,
		    const char *text, struct error *error)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	struct told told;

	poke(address);
	for (int i = 0; i < NEIGHBOUR_TRIES; i++) {
		if (ask_neighbour(path, &told) == 0 && told.has_mac) {
			memcpy(path->mac, told.mac, sizeof(path->mac));
			return 0;
		}
		nanosleep(&pause, NULL);
	}
	return error_set(error,
			 "%s on %s: nobody there has this address; it must be on the same wire, or "
			 "give the next station's MAC address by --mac",
			 text, path->name);
}

static void words_of(const struct sockaddr_storage *address, __u32 words[4])
{
	memset(words, 0, 16);
	if (address->ss_family == AF_INET6)
		memcpy(words, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
	else
		memcpy(words + 3, &((const struct sockaddr_in *)address)->sin_addr, 4);
}

/* The address that the kernel would send from. */
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

static int find_interface(struct blast_path *path, const char *text, struct error *error)
{
	const __u32 mapped[4] = { 0, 0, htonl(0xffff), path->own[3] };
	const void *wanted = path->ipv6 ? path->own : mapped;
	bool local = memcmp(path->own, path->address, sizeof(path->own)) == 0;
	struct network network;
	int result = network_read(&network, error);

	for (size_t i = 0; i < network.address_count && result == 0; i++) {
		const struct network_address *address = &network.addresses[i];

		if (!address->broadcast && memcmp(&address->address, wanted, 16) == 0)
			path->ifindex = address->ifindex;
	}
	for (size_t i = 0; i < network.link_count && result == 0; i++) {
		const struct network_link *link = &network.links[i];

		/* The host's own addresses are all reached by the loopback interface. */
		if (local ? !link->loopback : link->ifindex != path->ifindex)
			continue;
		path->ifindex = link->ifindex;
		path->loopback = link->loopback;
		memcpy(path->own_mac, link->mac, sizeof(path->own_mac));
	}
	network_free(&network);
	if (result == 0 && (!path->ifindex || !if_indextoname(path->ifindex, path->name)))
		result = error_set(error, "%s: no interface leads there; `ip route get` tells more",
				   text);
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
	if (find_own_address(address, &own, text, error))
		return -1;
	path->ipv6 = address->ss_family == AF_INET6;
	words_of(address, path->address);
	words_of(&own, path->own);
	if (find_interface(path, text, error) || find_kind(path, error))
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
