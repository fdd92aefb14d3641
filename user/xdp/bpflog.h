/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What libbpf and libxdp print. */
#ifndef XDP_ICP_KERNEL_LOG_H
#define XDP_ICP_KERNEL_LOG_H

/* Sends the libraries' messages to the log, and forgets the last cause. */
void libraries_open(void);

/* The cause that the kernel named last for a refusal; empty if it named none. */
extern char kernel_cause[256];

#endif
