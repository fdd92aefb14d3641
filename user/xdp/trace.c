// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "xdp/pins.h"
#include "xdp/trace.h"

struct kernel_trace {
	struct ring_buffer *ring;
	kernel_trace_callback callback;
	void *context;
};

static int on_record(void *context, void *record, size_t size)
{
	const struct kernel_trace *trace = context;

	if (size >= sizeof(struct trace_record))
		trace->callback(trace->context, record);
	return 0;
}

struct kernel_trace *kernel_trace_open(const struct kernel *kernel, kernel_trace_callback callback,
				       void *context, struct error *error)
{
	struct kernel_trace *trace = calloc(1, sizeof(*trace));

	if (!trace) {
		error_set(error, "out of memory");
		return NULL;
	}
	trace->callback = callback;
	trace->context = context;
	trace->ring = ring_buffer__new(kernel_pin(kernel, PIN_TRACE), on_record, trace, NULL);
	if (!trace->ring) {
		error_set(error, "the kernel's map `trace` cannot be read: %s", strerror(errno));
		free(trace);
		return NULL;
	}
	return trace;
}

void kernel_trace_close(struct kernel_trace *trace)
{
	if (!trace)
		return;
	ring_buffer__free(trace->ring);
	free(trace);
}

void kernel_trace_read(struct kernel_trace *trace)
{
	ring_buffer__consume(trace->ring);
}
