// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * compile_texts.c compiles the policies that are texts, compile_patterns.c those on patterns, and
 * compile_sources.c those on queriers.
 *
 * The horizon: policies after the first one that the kernel cannot evaluate are not compiled. If a
 * policy before the horizon matches, the first such policy decides, whatever comes after it. If none
 * does, no text has an answer, and the default, whose rank is the last, lies beyond the horizon: the
 * query is passed up, as it must be.
 *
 * Answers are numbered in the order of the ranks of their policies, so the smaller answer never
 * belongs to a later policy. If the chain has more answers than the kernel has room for, the horizon
 * is the policy with the first one in excess.
 */
#include <stdlib.h>

#include "chain/compile.h"
#include "chain/compile_patterns.h"
#include "chain/compile_texts.h"
#include "policy/kinds/recent.h"

uint16_t compiled_add_answer(struct compiled *compiled, __u32 rank, enum icp_opcode verdict,
			     __s32 cost)
{
	if (compiled->answer_count + 1 == ANSWERS_MAX) {
		error_set(&compiled->horizon_reason,
			  "the policies up to it have more than %u verdicts", ANSWERS_MAX - 1);
		return PREFIX_NO_ANSWER;
	}
	compiled->answers[compiled->answer_count++] = (struct prefix_answer){ rank, verdict, cost };
	return compiled->answer_count;
}

uint16_t compiled_answer(struct compiled *compiled, __u32 rank, enum icp_opcode verdict, __s32 cost)
{
	const struct prefix_answer *answers = compiled->answers;

	for (size_t i = compiled->answer_count; i > 0 && answers[i - 1].rank == rank; i--)
		if (answers[i - 1].verdict == verdict && answers[i - 1].cost == cost)
			return i;
	return compiled_add_answer(compiled, rank, verdict, cost);
}

/* Take the policy's table, with an answer for each place. -1: no room for them. */
static int take_partition(struct compiled *compiled, const struct policy *policy, __u32 rank)
{
	const struct policy_partition *partition = policy_partition(policy);
	struct map_partition map = { partition->hashed, rank, compiled->answer_count + 1 };

	for (unsigned int place = 0; place <= partition->depth; place++)
		if (compiled_add_answer(compiled, rank, partition->verdicts[place].opcode,
					partition->verdicts[place].cost) == PREFIX_NO_ANSWER)
			return -1;
	compiled->partition.map = map;
	compiled->partition.lines = partition->lines;
	return 0;
}

bool policy_in_kernel(const struct policy *policy, struct error *reason)
{
	const struct policy_kind *kind = policy->kind;
	const char *refused;

	if (kind->basis == POLICY_BASIS_HOST || kind->basis == POLICY_BASIS_SOURCE ||
	    kind->basis == POLICY_BASIS_RECENT || policy_texts(policy) || policy_inside(policy))
		return true;
	if (kind->automaton && kind->automaton(policy, &refused))
		return true;
	error_set(reason, "%s",
		  kind->automaton ? refused : "a policy of its kind cannot run in the kernel");
	return false;
}

size_t chain_reached(const struct chain *chain)
{
	for (size_t rank = 0; rank < chain_count(chain); rank++)
		if (policy_partition(chain_policy(chain, rank)))
			return rank + 1;
	return chain_count(chain);
}

static __u32 find_horizon(const struct chain *chain, struct error *reason)
{
	size_t reached = chain_reached(chain);

	for (size_t rank = 0; rank < reached; rank++) {
		if (!policy_in_kernel(chain_policy(chain, rank), reason))
			return rank;
		if (chain_recents(chain, rank + 1) <= RECENTS_MAX)
			continue;
		error_set(reason, "the kernel evaluates %u policies of its kind", RECENTS_MAX);
		return rank;
	}
	return RANK_NONE;
}

bool policy_needs_lease(const struct policy *policy)
{
	return policy_is_watched(policy) || policy_is_recent(policy);
}

static __u32 find_gate(const struct chain *chain)
{
	for (size_t rank = 0; rank < chain_count(chain); rank++)
		if (policy_needs_lease(chain_policy(chain, rank)))
			return rank;
	return RANK_NONE;
}

struct candidate chain_gate(const struct chain *chain)
{
	static const struct query any = { .url = "" }; /* gates ignore the query */

	for (size_t rank = 0; rank < chain_count(chain); rank++) {
		const struct policy *policy = chain_policy(chain, rank);
		enum icp_opcode verdict;

		if (policy->kind->basis != POLICY_BASIS_HOST)
			continue;
		verdict = policy_match(policy, &any).verdict;
		if (verdict != ICP_OP_INVALID)
			return candidate_of(rank, verdict, policy->cost);
	}
	return candidate_of(RANK_NONE, ICP_OP_INVALID, ICP_NO_COST);
}

/* Nothing needs remembering if the kernel can evaluate the whole chain. */
static enum chain_memory find_memory(const struct chain *chain, __u32 horizon)
{
	if (horizon == RANK_NONE)
		return MEMORY_NONE;
	for (size_t rank = 0; rank < chain_count(chain); rank++)
		if (policy_expires(chain_policy(chain, rank)))
			return MEMORY_URL_SOURCE;
	return MEMORY_URL;
}

/* Policies behind the horizon as well: they are looked up before remembered decisions. */
static void compile_recents(struct compiled *compiled, const struct chain *chain)
{
	for (size_t rank = 0; rank < chain_count(chain) && compiled->recent_count < RECENTS_MAX;
	     rank++) {
		const struct policy *policy = chain_policy(chain, rank);

		if (!policy_is_recent(policy))
			continue;
		compiled->recents[compiled->recent_count++] = (struct map_recent){
			.form = *policy_recent_form(policy),
			.rank = rank,
			.verdict = policy->verdict,
			.cost = policy->cost,
			.negate = policy->negate,
		};
		compiled->recent_entries += policy_recent_entries_max(policy);
	}
}

static size_t compiled_policies(const struct chain *chain, const struct compiled *compiled)
{
	return compiled->horizon == RANK_NONE ? chain_reached(chain) : compiled->horizon;
}

/* Returns -1, and the reason in `compiled`: the kernel has no room for the policy. */
static int compile_policy(struct compiled *compiled, struct compile_texts *texts,
			  struct compile_patterns *patterns, const struct policy *policy,
			  __u32 rank)
{
	if (compile_texts_add(texts, compiled, policy, rank))
		return -1;
	if (policy->kind->automaton && compile_patterns_add(patterns, compiled, policy, rank))
		return -1;
	return policy_partition(policy) ? take_partition(compiled, policy, rank) : 0;
}

/* Compile all policies up to the horizon, which moves forward to a policy that has no room. */
static void compile_up_to_horizon(struct compiled *compiled, struct compile_texts *texts,
				  struct compile_patterns *patterns, const struct chain *chain,
				  size_t lines_max)
{
	size_t policies = compiled_policies(chain, compiled), lines = 0;

	for (size_t rank = 0; rank < policies; rank++) {
		const struct policy *policy = chain_policy(chain, rank);

		if (lines_max != SIZE_MAX)
			lines += compile_texts_lines(policy);
		compiled->lacks_room = lines > lines_max;
		if (compiled->lacks_room)
			error_set(&compiled->horizon_reason,
				  "its %zu texts have no room in the kernel's maps, which have %zu "
				  "lines of %u bytes; " ADVICE_FOR_ROOM
				  ", with a larger prefixes_max if that is set",
				  policy_text_count(policy), lines_max, PREFIX_LINE);
		if (compiled->lacks_room ||
		    compile_policy(compiled, texts, patterns, policy, rank)) {
			compiled->horizon = rank;
			return;
		}
	}
}

/* Fill the members about texts and patterns. Returns -1: out of memory. */
static int compile_policies(struct compiled *compiled, const struct chain *chain, size_t lines_max)
{
	struct compile_patterns patterns = { 0 };
	struct compile_texts texts;
	int result = compile_texts_open(&texts, chain, compiled_policies(chain, compiled));

	compiled->answers = reallocarray(NULL, ANSWERS_MAX, sizeof(*compiled->answers));
	if (!compiled->answers)
		result = -1;
	if (!result)
		compile_up_to_horizon(compiled, &texts, &patterns, chain, lines_max);
	if (!result)
		result = compile_patterns_finish(&patterns, compiled);
	if (!result)
		compile_texts_finish(&texts, compiled);
	compile_texts_free(&texts);
	return result;
}

int chain_compile(const struct chain *chain, struct compiled **compiled, struct error *error)
{
	return chain_compile_within(chain, SIZE_MAX, compiled, error);
}

int chain_compile_within(const struct chain *chain, size_t lines_max, struct compiled **compiled,
			 struct error *error)
{
	struct compiled *made = calloc(1, sizeof(*made));

	if (!made)
		return error_set(error, "out of memory");
	made->horizon = find_horizon(chain, &made->horizon_reason);
	made->default_rank = chain_count(chain);
	made->default_verdict = chain_default_verdict(chain);
	if (compile_policies(made, chain, lines_max) || compile_sources(chain, made)) {
		compiled_free(made);
		return error_set(error, "out of memory for %zu texts", chain_text_count(chain));
	}
	compile_recents(made, chain);
	made->first_gate = find_gate(chain);
	made->memory = find_memory(chain, made->horizon);
	*compiled = made;
	return 0;
}

void compiled_free(struct compiled *compiled)
{
	if (!compiled)
		return;
	for (int reading = 0; reading < URL_READINGS; reading++)
		free(compiled->texts[reading].entries);
	free(compiled->answers);
	free(compiled->groups);
	free(compiled->sources);
	free(compiled);
}
