/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Queries recorded by the XDP program (kernel_trace_until() in kernel.h). */
#ifndef XDP_ICP_KERNEL_TRACE_H
#define XDP_ICP_KERNEL_TRACE_H

#include "xdp/kernel.h"

struct kernel_trace;

/* Called with each record, valid during the call. */
typedef void (*kernel_trace_callback)(void *context, const struct trace_record *record);

/* `kernel` must outlive it. Return NULL and `error` if the kernel refuses. */
struct kernel_trace *kernel_trace_open(const struct kernel *kernel, kernel_trace_callback callback,
				       void *context, struct error *error);
void kernel_trace_close(struct kernel_trace *trace);

/* Pass on the records that are there, without waiting. */
void kernel_trace_read(struct kernel_trace *trace);

#endif
