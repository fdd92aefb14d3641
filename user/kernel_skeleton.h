/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The XDP program with its maps, before the kernel has them: how large, and pinned where. */
#ifndef XDP_ICP_KERNEL_SKELETON_H
#define XDP_ICP_KERNEL_SKELETON_H

#include "kernel.h"
#include "xdp_icp.skel.h"

/*
 * Prepares the program for native or for generic mode, to be loaded. Maps that are pinned below
 * `pin_dir` are then adopted, and must have these sizes; others are made. For xdp_icp__destroy();
 * NULL and `error` if it cannot be read.
 */
struct xdp_icp *skeleton_open(const char *pin_dir, const struct kernel_sizes *sizes, bool native,
			      struct error *error);

#endif
