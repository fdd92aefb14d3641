// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/vec.h"
#include "xdp/netlink.h"

#define TRIES 8 /* of a dump that was interrupted by a change */

static int on_link(const struct nlmsghdr *message, void *context)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	struct network *network = context;
	struct network_link *link;
	struct nlattr *attribute;

	if (message->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	link = vec_append(network->links, network->link_count);
	if (!link)
		return MNL_CB_ERROR;
	*link = (struct network_link){
		.ifindex = info->ifi_index,
		.loopback = info->ifi_flags & IFF_LOOPBACK,
	};
	mnl_attr_for_each(attribute, message, sizeof(*info))
	{
		if (mnl_attr_get_type(attribute) == IFLA_ADDRESS &&
		    mnl_attr_get_payload_len(attribute) == sizeof(link->mac))
			memcpy(link->mac, mnl_attr_get_payload(attribute), sizeof(link->mac));
	}
	return MNL_CB_OK;
}

static int add_address(struct network *network, const struct ifaddrmsg *info, const void *bytes,
		       bool broadcast)
{
	size_t size = info->ifa_family == AF_INET ? 4 : 16;
	struct network_address *address = vec_append(network->addresses, network->address_count);

	if (!address)
		return MNL_CB_ERROR;
	*address = (struct network_address){
		.ifindex = info->ifa_index,
		.broadcast = broadcast,
	};
	if (info->ifa_family == AF_INET)
		address->address.s6_addr[10] = address->address.s6_addr[11] = 0xff;
	memcpy(&address->address.s6_addr[16 - size], bytes, size);
	return MNL_CB_OK;
}

/*
 * The broadcast address of a subnet, which the kernel treats as one whether it is configured or
 * not.
 */
static int add_broadcast(struct network *network, const struct ifaddrmsg *info, const void *local)
{
	in_addr_t address;

	if (info->ifa_prefixlen >= 31)
		return MNL_CB_OK;
	memcpy(&address, local, sizeof(address));
	address |= htonl(0xffffffff >> info->ifa_prefixlen);
	return add_address(network, info, &address, true);
}

static const void *bytes_of(const struct nlattr *attribute, const struct ifaddrmsg *info)
{
	size_t size = info->ifa_family == AF_INET ? 4 : 16;

	if (!attribute || mnl_attr_get_payload_len(attribute) != size)
		return NULL;
	return mnl_attr_get_payload(attribute);
}

static int on_address(const struct nlmsghdr *message, void *context)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
	const void *local = NULL, *address = NULL, *broadcast = NULL;
	__u32 flags = info->ifa_flags;
	struct nlattr *attribute;

	if (message->nlmsg_type != RTM_NEWADDR ||
	    (info->ifa_family != AF_INET && info->ifa_family != AF_INET6))
		return MNL_CB_OK;
	mnl_attr_for_each(attribute, message, sizeof(*info))
	{
		switch (mnl_attr_get_type(attribute)) {
		case IFA_LOCAL:
			local = bytes_of(attribute, info);
			break;
		case IFA_ADDRESS:
			address = bytes_of(attribute, info);
			break;
		case IFA_BROADCAST:
			broadcast = bytes_of(attribute, info);
			break;
		case IFA_FLAGS:
			flags = mnl_attr_get_u32(attribute);
			break;
		}
	}
	/* Not assigned until duplicate address detection has succeeded (RFC 4862). */
	if (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) && !(flags & IFA_F_OPTIMISTIC))
		return MNL_CB_OK;
	if (!local) /* IPv6 without a peer */
		local = address;
	if (!local)
		return MNL_CB_OK;
	if (add_address(context, info, local, false) == MNL_CB_ERROR)
		return MNL_CB_ERROR;
	if (broadcast && add_address(context, info, broadcast, true) == MNL_CB_ERROR)
		return MNL_CB_ERROR;
	return info->ifa_family == AF_INET ? add_broadcast(context, info, local) : MNL_CB_OK;
}

/* Return 0 or -errno; -EINTR: something changed during the dump. */
static int dump(struct mnl_socket *socket, int type, mnl_cb_t callback, struct network *network)
{
	char buffer[32768]; /* the largest that the kernel uses */
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	unsigned int sequence = (unsigned int)time(NULL);
	ssize_t size;
	int more = MNL_CB_OK;

	request->nlmsg_type = type;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request->nlmsg_seq = sequence;
	if (type == RTM_GETLINK)
		mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
	else
		mnl_nlmsg_put_extra_header(request, sizeof(struct ifaddrmsg));
	if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		return -errno;
	while (more > MNL_CB_STOP) {
		size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
		if (size < 0)
			return -errno;
		more = mnl_cb_run(buffer, size, sequence, mnl_socket_get_portid(socket), callback,
				  network);
	}
	return more == MNL_CB_ERROR ? -errno : 0;
}

int network_read(struct network *network, struct error *error)
{
	int err = -EINTR;

	memset(network, 0, sizeof(*network));
	for (int i = 0; i < TRIES && err == -EINTR; i++) {
		struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

		network_free(network);
		err = socket && mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0 ? 0 : -errno;
		if (!err)
			err = dump(socket, RTM_GETLINK, on_link, network);
		if (!err)
			err = dump(socket, RTM_GETADDR, on_address, network);
		if (socket)
			mnl_socket_close(socket);
	}
	if (err)
		return error_set(error, "the host's addresses cannot be read: %s", strerror(-err));
	return 0;
}

void network_free(struct network *network)
{
	free(network->links);
	free(network->addresses);
	memset(network, 0, sizeof(*network));
}

int network_watch(struct error *error)
{
	struct sockaddr_nl groups = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (struct sockaddr *)&groups, sizeof(groups))) {
		error_set(error, "changes of the host's addresses cannot be watched: %s",
			  strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

bool network_changed(int fd)
{
	char buffer[32768];
	bool changed = false;

	/*
	 * The contents do not matter, as everything is read again; nor do lost messages (ENOBUFS).
	 */
	for (;;) {
		ssize_t size = recv(fd, buffer, sizeof(buffer), 0);

		if (size > 0 || (size < 0 && errno == ENOBUFS))
			changed = true;
		else if (size == 0 || errno != EINTR)
			return changed;
	}
}
