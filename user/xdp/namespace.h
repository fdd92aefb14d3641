/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interfaces are known by numbers that mean something in one network namespace only. */
#ifndef XDP_ICP_NAMESPACE_H
#define XDP_ICP_NAMESPACE_H

#include <stdint.h>

#include "xdp/kernel.h"

/* Return the cookie of this process's network namespace, 0 if the kernel has none. */
uint64_t network_namespace(void);

/* Note this namespace as that of the interfaces in the map `control` (file descriptor), which no daemon uses. */
void kernel_note_namespace(int fd);

#endif
