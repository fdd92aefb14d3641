/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The XDP program with its maps, before the kernel has them: how large, and pinned where. */
#ifndef XDP_ICP_KERNEL_SKELETON_H
#define XDP_ICP_KERNEL_SKELETON_H

#include "xdp/kernel.h"
#include "xdp/pins.h"
#include "xdp_icp.skel.h"

/*
 * Prepares the program for native or for generic mode, to be loaded. Maps that are pinned in `dir`
 * are adopted, and keep their sizes; others are made by the load. For xdp_icp__destroy(); NULL and
 * `error`.
 */
struct xdp_icp *skeleton_open(const struct pin_dir *dir, const struct kernel_sizes *sizes,
			      bool native, struct error *error);

/* The file descriptor of a map of a loaded skeleton, which keeps it. */
int skeleton_map(const struct xdp_icp *skeleton, enum pin pin);

#endif
