/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A start with root's rights takes two processes: one keeps the rights and loads the program, the
 * other runs as the daemon's user and builds the chain from files that this user may write. All
 * that the first learns from the second is one message of fixed size.
 */
#ifndef XDP_ICP_LOAD_PAIR_H
#define XDP_ICP_LOAD_PAIR_H

#include <sys/types.h>

#include "lib/error.h"
#include "xdp/kernel.h"

/*
 * Forks. Each process gets its end of a connection in `*channel`, which the other's end closes.
 * Returns the child's process id to the parent and 0 to the child, or -1 and `error`.
 */
pid_t load_fork(int *channel, struct error *error);

/*
 * Tells the other process the map sizes that the chain needs, or with a result other than
 * KERNEL_OK why there are none; or what the load came to. An end that is gone is no error.
 */
void load_tell(int channel, enum kernel_result result, const struct kernel_sizes *sizes,
	       const struct error *error);

/*
 * Waits for what the other tells. `sizes` (NULL: not wanted) are within what a map can have.
 * KERNEL_FAILED and `error` also if it ends without a word.
 */
enum kernel_result load_hear(int channel, struct kernel_sizes *sizes, struct error *error);

#endif
