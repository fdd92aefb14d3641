/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages of libbpf and libxdp. */
#ifndef XDP_ICP_KERNEL_LOG_H
#define XDP_ICP_KERNEL_LOG_H

/* Route the messages of libbpf and libxdp to the log, and clear kernel_cause. */
void bpf_log_init(void);

/* The last reason that the kernel gave for rejecting something; empty if it gave none. */
extern char kernel_cause[256];

#endif
