/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a network device is, as far as XDP cares. */
#ifndef XDP_ICP_DEVICE_H
#define XDP_ICP_DEVICE_H

#include <stdbool.h>

/* Do frames on it begin with an Ethernet header? The loopback interface's do. */
bool device_is_ethernet(const char *name);

bool device_is_veth(const char *name);

/* Does the network card take VLAN tags off what it receives, so that the program sees none? */
bool device_strips_vlan(const char *name);

/*
 * Can a veth hand on what is sent from its native XDP program? Only if its peer carries one too.
 * False also where the kernel does not tell (before 6.3).
 */
bool device_veth_transmits(unsigned int ifindex);

#endif
