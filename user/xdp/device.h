/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Properties of network devices that matter to XDP. */
#ifndef XDP_ICP_DEVICE_H
#define XDP_ICP_DEVICE_H

#include <stdbool.h>

/* Return whether its frames have an Ethernet header. Those of the loopback interface do. */
bool device_is_ethernet(const char *name);

bool device_is_veth(const char *name);

/* Return whether the card strips VLAN tags on receive, so that the program sees none. */
bool device_strips_vlan(const char *name);

/*
 * Return whether a veth delivers what its native XDP program transmits: only if the peer has an XDP
 * program too. False also where the kernel does not report it (before 6.3).
 */
bool device_veth_transmits(unsigned int ifindex);

#endif
