// SPDX-License-Identifier: GPL-2.0-or-later
#include <libmnl/libmnl.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "xdp/device.h"

/* The generic netlink family "netdev" is younger than the headers of Debian 12. */
#define NETDEV_FAMILY "netdev"
#define NETDEV_DEV_GET 1
#define NETDEV_DEV_IFINDEX 1
#define NETDEV_DEV_XDP_FEATURES 3
#define NETDEV_XDP_NDO_XMIT 4

static bool device_ioctl(const char *name, unsigned long request, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok;

	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", name);
	ok = fd >= 0 && ioctl(fd, request, ifr) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

bool device_is_ethernet(const char *name)
{
	struct ifreq ifr = { 0 };

	return device_ioctl(name, SIOCGIFHWADDR, &ifr) &&
	       (ifr.ifr_hwaddr.sa_family == ARPHRD_ETHER ||
		ifr.ifr_hwaddr.sa_family == ARPHRD_LOOPBACK);
}

bool device_is_veth(const char *name)
{
	struct ethtool_drvinfo driver = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq ifr = { .ifr_data = (void *)&driver };

	return device_ioctl(name, SIOCETHTOOL, &ifr) && strcmp(driver.driver, "veth") == 0;
}

bool device_strips_vlan(const char *name)
{
	struct ethtool_value flags = { .cmd = ETHTOOL_GFLAGS };
	struct ifreq ifr = { .ifr_data = (void *)&flags };

	return device_ioctl(name, SIOCETHTOOL, &ifr) && flags.data & ETH_FLAG_RXVLAN;
}

/* --- generic netlink */

struct wanted {
	int attribute;
	uint64_t value;
};

static int on_message(const struct nlmsghdr *message, void *context)
{
	struct wanted *wanted = context;
	struct nlattr *attribute;

	mnl_attr_for_each(attribute, message, sizeof(struct genlmsghdr))
	{
		uint16_t size = mnl_attr_get_payload_len(attribute);

		if (mnl_attr_get_type(attribute) != wanted->attribute)
			continue;
		if (size == sizeof(uint16_t))
			wanted->value = mnl_attr_get_u16(attribute);
		else if (size == sizeof(uint64_t))
			wanted->value = mnl_attr_get_u64(attribute);
	}
	return MNL_CB_OK;
}

/*
 * Send the request at the start of `buffer` and return one attribute of the response, 0 on any
 * error.
 */
static uint64_t request_attribute(struct mnl_socket *socket, char *buffer, size_t size,
				  int attribute)
{
	struct nlmsghdr *request = (struct nlmsghdr *)buffer;
	struct wanted wanted = { .attribute = attribute };
	ssize_t received;

	request->nlmsg_flags = NLM_F_REQUEST;
	request->nlmsg_seq = 1;
	if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		return 0;
	received = mnl_socket_recvfrom(socket, buffer, size);
	if (received < 0 ||
	    mnl_cb_run(buffer, received, 1, mnl_socket_get_portid(socket), on_message, &wanted) < 0)
		return 0;
	return wanted.value;
}

static struct nlmsghdr *begin(char *buffer, uint16_t family, uint8_t command, uint8_t version)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *header;

	request->nlmsg_type = family;
	header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	header->cmd = command;
	header->version = version;
	return request;
}

bool device_veth_transmits(unsigned int ifindex)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	char buffer[8192];
	uint64_t features = 0;
	uint16_t family;

	if (!socket)
		return false;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0) {
		mnl_attr_put_strz(begin(buffer, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1),
				  CTRL_ATTR_FAMILY_NAME, NETDEV_FAMILY);
		family = request_attribute(socket, buffer, sizeof(buffer), CTRL_ATTR_FAMILY_ID);
		if (family) {
			mnl_attr_put_u32(begin(buffer, family, NETDEV_DEV_GET, 1),
					 NETDEV_DEV_IFINDEX, ifindex);
			features = request_attribute(socket, buffer, sizeof(buffer),
						     NETDEV_DEV_XDP_FEATURES);
		}
	}
	mnl_socket_close(socket);
	return features & NETDEV_XDP_NDO_XMIT;
}
