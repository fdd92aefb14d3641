// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The ICP responder on the receive path. A query whose answer is known is turned round; all else
 * goes up to the stack byte for byte as it came, and nothing is ever dropped.
 */
#include "lookups.h"
#include "answer.h"
#include "trace.h"

ICP_INLINE void count(enum icp_counter counter)
{
	__u32 key = counter;
	__u64 *value = bpf_map_lookup_elem(&counters, &key);

	if (value)
		(*value)++;
}

/* Counts what became of a query, and shows it to whoever traces. */
ICP_INLINE int finish(const struct map_control *now, const struct map_chain *known,
		      struct decision decision, __u32 url_length)
{
	count(decision.counter);
	if (now->trace_until && trace_query(decision.counter, decision.verdict.opcode,
					    decision.rank, known->generation, url_length))
		count(ICP_COUNT_FAILED_TRACE);
	return decision.counter == ICP_COUNT_ANSWERED ? XDP_TX : XDP_PASS;
}

ICP_INLINE int pass(enum icp_counter reason)
{
	count(reason);
	return XDP_PASS;
}

SEC("xdp.frags")
int xdp_icp(struct xdp_md *ctx)
{
	const struct map_control *now;
	const struct map_chain *known;
	struct scratch *buffer;
	struct decision decision;
	struct message message;
	enum icp_counter found;
	__u32 zero = 0, slot;

	buffer = bpf_map_lookup_elem(&scratch, &zero);
	now = bpf_map_lookup_elem(&control, &zero);
	if (!now || !buffer)
		return pass(ICP_COUNT_PASSED_FAILED);

	/* classify */
	found = frame_classify(ctx, now, buffer);
	if (found != ICP_COUNT_ANSWERED)
		return pass(found);

	/* read */
	slot = ICP_READ_BACK(now->active);
	known = bpf_map_lookup_elem(&chain, &slot);
	if (!known)
		return pass(ICP_COUNT_PASSED_FAILED);
	found = message_read(ctx, known, buffer, &message);
	if (found != ICP_COUNT_ANSWERED)
		return finish(now, known, decision_pass(found), 0);

	/* match */
	decision = match(now->drain, known, slot, buffer, message.form, &lookups, NULL);

	/* answer */
	if (decision.counter == ICP_COUNT_ANSWERED &&
	    answer_send(ctx, buffer, &message, decision.verdict) != XDP_TX)
		decision = decision_pass(ICP_COUNT_PASSED_FAILED);
	return finish(now, known, decision, message.url_length);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
