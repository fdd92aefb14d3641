/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attaching the XDP program to interfaces, alone or behind the libxdp dispatcher, and detaching it.
 */
#ifndef XDP_ICP_KERNEL_ATTACH_H
#define XDP_ICP_KERNEL_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

#include "xdp/kernel.h"

/*
 * Attach the program to an interface, replacing an older instance of it, and record that for the
 * daemon in the map `interfaces`. `loaded` is the program for native mode, `interfaces` the map;
 * both are file descriptors and stay the caller's. `controls` are the ids of the control maps that
 * identify a program as ours: the current one, and that of the previous load or 0.
 *
 * Return KERNEL_OK, or another result and `error`.
 */
enum kernel_result kernel_attach(const struct kernel_load *load, unsigned int ifindex, int loaded,
				 int interfaces, const uint32_t controls[2], struct error *error);

/*
 * Detach our program, identified by the id of its control map. Return whether it was attached;
 * *mode is its mode.
 */
bool kernel_detach(unsigned int ifindex, uint32_t control, enum config_mode *mode);

#define RECORDED_MAX 256 /* entries of the map `interfaces` */

/* Store the indices of the interfaces that the map (file descriptor) has, and return their number. */
size_t recorded_interfaces(int interfaces, uint32_t ifindex[RECORDED_MAX]);

#endif
