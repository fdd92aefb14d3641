/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the XDP program shows of the queries that come by it (kernel_trace_until() of kernel.h). */
#ifndef XDP_ICP_KERNEL_TRACE_H
#define XDP_ICP_KERNEL_TRACE_H

#include "xdp/kernel.h"

struct kernel_trace;

/* Told of a record, which is gone afterwards. */
typedef void (*kernel_traced)(void *context, const struct trace_record *record);

/* `kernel` must outlive it. NULL and `error`: the kernel refuses. */
struct kernel_trace *kernel_trace_open(const struct kernel *kernel, kernel_traced traced,
				       void *context, struct error *error);
void kernel_trace_close(struct kernel_trace *trace);

/* Hands out what there is; does not wait. */
void kernel_trace_read(struct kernel_trace *trace);

#endif
