// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The ICP responder on the receive path. A query whose verdict is known is rewritten in place and
 * sent back; everything else is passed up to the stack unchanged, and nothing is ever dropped.
 */
#include "answer.h"
#include "match_bpf.h"
#include "trace.h"

ICP_INLINE void count(enum icp_counter counter)
{
	__u32 key = counter;
	__u64 *value = bpf_map_lookup_elem(&counters, &key);

	if (value)
		(*value)++;
}

ICP_INLINE void count_decided(const struct map_chain *chain, enum icp_opcode verdict, __u32 rank)
{
	__u32 key = decided_index(chain, rank);
	struct decided *by = bpf_map_lookup_elem(&decided, &key);

	if (by)
		by->verdicts[decided_verdict(verdict)]++;
}

ICP_INLINE int pass(enum icp_counter reason)
{
	count(reason);
	return XDP_PASS;
}

/*
 * Read the query, decide on it and write the reply. A pass leaves the frame as it came; `message` tells
 * the URL's length, which is 0 if the message was not read.
 */
ICP_INLINE struct decision process(struct xdp_md *ctx, const struct map_control *control,
				   const struct map_chain *chain, __u32 slot,
				   struct scratch *scratch, struct message *message)
{
	struct decision decision;
	enum icp_counter found = message_read(ctx, chain, scratch, message);

	if (found != ICP_COUNT_ANSWERED) {
		message->url_length = 0;
		return decision_pass(found);
	}
	decision = match(control->drain, chain, slot, scratch, message->form, &lookups, NULL);
	if (decision.counter == ICP_COUNT_ANSWERED &&
	    answer_send(ctx, scratch, message, decision.verdict) != XDP_TX)
		return decision_pass(ICP_COUNT_PASSED_FAILED);
	return decision;
}

SEC("xdp.frags")
int xdp_icp(struct xdp_md *ctx)
{
	const struct map_control *control = lookup_control();
	struct scratch *scratch = lookup_scratch();
	const struct map_chain *chain;
	struct decision decision;
	struct message message;
	enum icp_counter found;
	__u32 slot;

	if (!control || !scratch)
		return pass(ICP_COUNT_PASSED_FAILED);
	found = frame_classify(ctx, control, scratch);
	if (found != ICP_COUNT_ANSWERED)
		return pass(found);
	slot = ICP_READ_BACK(control->active);
	chain = lookup_chain(slot);
	if (!chain)
		return pass(ICP_COUNT_PASSED_FAILED);

	decision = process(ctx, control, chain, slot, scratch, &message);
	count(decision.counter);
	if (decision.counter == ICP_COUNT_ANSWERED)
		count_decided(chain, decision.verdict.opcode, decision.rank);
	if (control->trace_until &&
	    trace_query(decision.counter, decision.verdict.opcode, decision.rank, chain->generation,
			message.url_length))
		count(ICP_COUNT_FAILED_TRACE);
	return decision.counter == ICP_COUNT_ANSWERED ? XDP_TX : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
