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

ICP_INLINE void record(const struct map_control *control, const struct map_chain *chain,
		       struct decision decision, __u32 url_length)
{
	if (control->trace_until && trace_query(decision.counter, decision.verdict.opcode,
						decision.rank, chain->generation, url_length))
		count(ICP_COUNT_FAILED_TRACE);
}

/*
 * Pass a query to this responder up; `url_length` is 0 if its message was not read. Neither inline nor
 * static: that keeps it out of the way of the replies.
 */
__attribute__((noinline)) int pass_query(const struct map_chain *chain, __u32 reason,
					 __u32 url_length)
{
	const struct map_control *control = lookup_control();
	struct decision decision = { { ICP_OP_INVALID, ICP_NO_COST }, reason, RANK_NONE };

	if (control && chain) /* always: for the verifier */
		record(control, chain, decision, url_length);
	return pass(reason);
}

SEC("xdp.frags")
int xdp_icp(struct xdp_md *ctx)
{
	const struct map_control *control = lookup_control();
	struct scratch *scratch = lookup_scratch();
	const struct map_chain *chain;
	struct decision decision;
	struct reading reading;
	struct begun begun;
	enum icp_counter found;
	__u32 slot;

	if (!control || !scratch)
		return pass(ICP_COUNT_PASSED_FAILED);
	found = frame_classify(ctx, control, scratch);
	if (found != ICP_COUNT_ANSWERED)
		return pass(found);
	found = message_read(ctx, scratch, &reading);
	slot = ICP_READ_BACK(control->active);
	chain = lookup_chain(slot);
	if (!chain)
		return pass(ICP_COUNT_PASSED_FAILED);
	if (found != ICP_COUNT_ANSWERED)
		return pass_query(chain, found, 0);
	/* What does not depend on the lookup is checked while it waits for its cache line. */
	begun = lookup_begin(chain, scratch);
	found = frame_sender(ctx, control, scratch);
	if (found != ICP_COUNT_ANSWERED)
		return pass(found);
	found = message_check(chain, scratch, &reading);
	if (found != ICP_COUNT_ANSWERED)
		return pass_query(chain, found, 0);

	decision = match(control->drain, chain, slot, scratch, &lookups, &begun);
	if (decision.counter != ICP_COUNT_ANSWERED)
		return pass_query(chain, decision.counter, scratch->url_length);
	if (answer_send(ctx, scratch, decision.verdict) != XDP_TX)
		return pass_query(chain, ICP_COUNT_PASSED_FAILED, scratch->url_length);
	count(ICP_COUNT_ANSWERED);
	count_decided(chain, decision.verdict.opcode, decision.rank);
	record(control, chain, decision, scratch->url_length);
	return XDP_TX;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
