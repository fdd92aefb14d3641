/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The XDP program on its interfaces: put there, beside others or in their place, and taken off. */
#ifndef XDP_ICP_KERNEL_ATTACH_H
#define XDP_ICP_KERNEL_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

#include "xdp/kernel.h"

/*
 * Puts the program on an interface, or in the place of what is there, and notes it for the daemon
 * in the map `interfaces` (a file descriptor, as is `loaded`: the program for native mode).
 * `controls` are the ids of control maps by which a program is known to be ours: this one's, and
 * that of the one before it, or 0.
 */
enum kernel_result kernel_attach(const struct kernel_load *load, unsigned int ifindex, int loaded,
				 int interfaces, const uint32_t controls[2], struct error *error);

/* Takes a program of ours off. Returns whether there was one, and the mode that it was in. */
bool kernel_detach(unsigned int ifindex, uint32_t control, enum kernel_mode *mode);

#endif
