/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records for `icpctl trace`. A flood must not make them expensive: the number of records that a CPU
 * makes in a window of time is bounded, and they wake no reader; the daemon polls for them.
 */
#ifndef XDP_ICP_TRACE_H
#define XDP_ICP_TRACE_H

#include "lookups.h"

#define TRACE_WINDOW_BITS 24 /* a window is 2^24 ns, 17 ms */
#define TRACE_WINDOW_MAX 64  /* records in a window */

/*
 * Record the query that is being processed; `url_length` is 0 if its message was not read. Returns 1
 * if there was no room. Neither inline nor static, so that the verifier follows it once, by itself.
 */
__attribute__((noinline)) int trace_query(__u32 counter, __u32 verdict, __u32 rank,
					  __u32 generation, __u32 url_length)
{
	const struct map_control *control = lookup_control();
	struct trace_record *record;
	struct scratch *scratch = lookup_scratch();
	const struct frame *frame;
	__u64 now = bpf_ktime_get_ns();

	if (!scratch || !control || now >= control->trace_until) /* the tracing daemon has ended */
		return 0;
	if (scratch->trace.window != now >> TRACE_WINDOW_BITS) {
		scratch->trace.window = now >> TRACE_WINDOW_BITS;
		scratch->trace.used = 0;
	}
	if (scratch->trace.used >= TRACE_WINDOW_MAX)
		return 1;
	scratch->trace.used++;
	record = bpf_ringbuf_reserve(&trace, sizeof(*record), 0);
	if (!record)
		return 1;

	frame = &scratch->frame;
	record->time = now;
	mapped_address((__u32 *)record->source, frame->source, frame->ipv6);
	mapped_address((__u32 *)record->destination, frame->destination, frame->ipv6);
	record->source_port = frame->source_port;
	record->destination_port = frame->destination_port;
	record->request_number =
		url_length ? scratch->message.query.header.request_number : (__be32)0;
	record->counter = counter;
	record->verdict = verdict;
	record->rank = rank;
	record->generation = generation;
	record->url_length = url_length;
	record->zero = 0;
	__builtin_memcpy(record->url, scratch->message.words + MESSAGE_URL_WORD,
			 sizeof(record->url));
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

#endif
