/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The XDP program and its maps before loading: sizes and pins. */
#ifndef XDP_ICP_KERNEL_SKELETON_H
#define XDP_ICP_KERNEL_SKELETON_H

#include "xdp/kernel.h"
#include "xdp/pins.h"
#include "xdp_icp.skel.h"

/*
 * Open the program for native or generic mode, ready to load. Maps pinned in `dir` are reused and
 * keep their sizes; the load creates the others. Free with xdp_icp__destroy(); NULL and `error`.
 */
struct xdp_icp *skeleton_open(const struct pin_dir *dir, const struct kernel_sizes *sizes,
			      bool native, struct error *error);

/*
 * The options to open the program with; not to be freed. libbpf compares the program's types with the
 * kernel's, and refuses to load it on a kernel that was built without any. On such a kernel it gets
 * an empty list of types, so that the program finds no structure of the trie and looks up every URL
 * in `rules`.
 */
const struct bpf_object_open_opts *skeleton_options(void);

/* Return the file descriptor of a map, owned by the loaded skeleton. */
int skeleton_map(const struct xdp_icp *skeleton, enum pin pin);

#endif
