/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A start as root uses two processes: one keeps the privileges and loads the program, the other
 * runs as the daemon's user and builds the chain from files that this user can write. The first
 * receives a single message of fixed size from the second.
 */
#ifndef XDP_ICP_LOAD_PAIR_H
#define XDP_ICP_LOAD_PAIR_H

#include <sys/types.h>

#include "lib/error.h"
#include "xdp/kernel.h"

/*
 * Fork. Each process gets its end of a connection in *channel; the other end is closed. Return the
 * child's process id in the parent and 0 in the child, or -1 and `error`.
 */
pid_t load_fork(int *channel, struct error *error);

/*
 * Send the map sizes that the chain needs, or with a result other than KERNEL_OK the error instead;
 * the loader sends the result of the load in the same way. A closed channel is no error.
 */
void load_send(int channel, enum kernel_result result, const struct kernel_sizes *sizes,
	       const struct error *error);

/*
 * Wait for the message of the other process. `sizes` (NULL: not needed) are checked to be valid
 * sizes of a map. Return the result in the message, with its error; KERNEL_FAILED and `error` also
 * if the other process ends without sending one.
 */
enum kernel_result load_receive(int channel, struct kernel_sizes *sizes, struct error *error);

#endif
