// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Why the longest match alone gives the chain's verdict:
 *
 * Let p be a prefix in any of the sets. Of all policies with a member that is a prefix of p (p
 * included), the one of the smallest rank comes first in the chain, and the longest such member
 * gives its verdict: that is p's entry. It holds for every URL whose longest match is p, because
 * every other member that is a prefix of the URL is a prefix of p too.
 *
 * With the texts sorted, p's entry follows from that of its parent q, the longest proper prefix of
 * p among the texts. If the first policy that contains p itself does not come after the policy of
 * q's entry, it is the first, and p is its longest member. Otherwise the policy of q's entry remains
 * the first, and none of its members lies between q and p.
 *
 * The horizon: policies after the first one that the kernel cannot evaluate are not compiled. If a
 * policy before the horizon matches, the first such policy decides, whatever comes after it. If none
 * does, no entry matches, and the default, whose rank is the last, lies beyond the horizon: the
 * query is passed up, as it must be.
 *
 * Answers are numbered in the order of the ranks of their policies, so the smaller answer never
 * belongs to a later policy. If the chain has more answers than the kernel has room for, the horizon
 * is the policy with the first one in excess.
 *
 * An entry with the same answer as its parent is omitted, as the parent is then the longest match.
 * A text of more than PREFIX_MAX bytes is omitted: it only matches URLs of at least that many bytes
 * with their NUL, and those are passed up because of their length. Nor is it the parent of a text
 * that remains, since parents are shorter.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "chain/compile.h"
#include "lib/byteset.h"

/* Order of the entries in a run: by text, then by answer, which implies rank. */
static int compare_entries(const struct prefix_entry *a, const struct prefix_entry *b)
{
	int order = byteset_compare(a->text, a->length, b->text, b->length);

	return order ? order : (a->answer > b->answer) - (a->answer < b->answer);
}

/*
 * Return the answer for a policy's verdict, adding it if needed. PREFIX_NO_ANSWER: there is no room
 * for another.
 */
static uint16_t answer_for(struct compiled *compiled, __u32 rank, enum icp_opcode verdict,
			   __s32 cost)
{
	struct prefix_answer *answers = compiled->answers;

	for (size_t i = compiled->answer_count; i > 0 && answers[i - 1].rank == rank; i--)
		if (answers[i - 1].verdict == verdict)
			return i;
	if (compiled->answer_count + 1 == ANSWERS_MAX)
		return PREFIX_NO_ANSWER;
	answers[compiled->answer_count++] = (struct prefix_answer){ rank, verdict, cost };
	return compiled->answer_count;
}

/* Append the entries of a set. Returns their number, or -1: no room for the policy's answers. */
static ssize_t append_set(struct compiled *compiled, struct prefix_entry *entries,
			  const struct byteset *set, __u32 rank, __s32 cost)
{
	ssize_t count = 0;

	for (size_t i = 0; i < byteset_count(set); i++) {
		struct byteset_member member = byteset_get(set, i);
		uint16_t answer;

		if (member.length > PREFIX_MAX)
			continue;
		answer = answer_for(compiled, rank, member.verdict, cost);
		if (answer == PREFIX_NO_ANSWER)
			return -1;
		entries[count++] = (struct prefix_entry){ member.text, member.length, answer };
	}
	return count;
}

static void merge(struct prefix_entry *to, const struct prefix_entry *a, size_t a_count,
		  const struct prefix_entry *b, size_t b_count)
{
	while (a_count && b_count) {
		if (compare_entries(a, b) <= 0) {
			*to++ = *a++;
			a_count--;
		} else {
			*to++ = *b++;
			b_count--;
		}
	}
	memcpy(to, a, a_count * sizeof(*a));
	memcpy(to + a_count, b, b_count * sizeof(*b));
}

/*
 * Merge adjacent sorted runs pairwise until one is left. `ends` has the end index of each run and is
 * overwritten. `spare` is as large as `entries`; returns the one of the two with the result.
 */
static struct prefix_entry *merge_runs(struct prefix_entry *entries, struct prefix_entry *spare,
				       size_t *ends, size_t runs)
{
	while (runs > 1) {
		struct prefix_entry *merged = spare;
		size_t begin = 0, left = 0;

		for (size_t i = 0; i < runs; i += 2) {
			size_t middle = ends[i];
			size_t end = i + 1 < runs ? ends[i + 1] : middle;

			merge(merged + begin, entries + begin, middle - begin, entries + middle,
			      end - middle);
			ends[left++] = begin = end;
		}
		runs = left;
		spare = entries;
		entries = merged;
	}
	return entries;
}

static bool begins_with(const struct prefix_entry *entry, const struct prefix_entry *prefix)
{
	return prefix->length <= entry->length &&
	       memcmp(entry->text, prefix->text, prefix->length) == 0;
}

static __u32 rank_of(const struct compiled *compiled, const struct prefix_entry *entry)
{
	return compiled->answers[entry->answer - 1].rank;
}

/*
 * Reduce the sorted entries of all policies, in place, to one per text. Returns their number. The
 * ancestors of the current text are on a stack, which is no deeper than the length of the text,
 * since each is longer than the one below.
 */
static size_t flatten(const struct compiled *compiled, struct prefix_entry *entries, size_t count)
{
	struct prefix_entry ancestors[PREFIX_MAX + 1];
	size_t depth = 0, kept = 0;

	for (size_t i = 0; i < count; i++) {
		/* Of equal texts, the smallest rank comes first. */
		struct prefix_entry entry = entries[i];

		while (depth && !begins_with(&entry, &ancestors[depth - 1]))
			depth--;
		/* The same text of an earlier policy counts as an ancestor too. */
		if (depth &&
		    (rank_of(compiled, &ancestors[depth - 1]) < rank_of(compiled, &entry) ||
		     ancestors[depth - 1].answer == entry.answer))
			continue;
		ancestors[depth++] = entry;
		entries[kept++] = entry;
	}
	return kept;
}

bool policy_in_kernel(const struct policy *policy)
{
	return policy->kind->basis == POLICY_BASIS_HOST ||
	       policy->kind->basis == POLICY_BASIS_SOURCE || policy_prefixes(policy);
}

static __u32 find_horizon(const struct chain *chain)
{
	for (size_t rank = 0; rank < chain_count(chain); rank++)
		if (!policy_in_kernel(chain_policy(chain, rank)))
			return rank;
	return RANK_NONE;
}

static __u32 find_gate(const struct chain *chain)
{
	for (size_t rank = 0; rank < chain_count(chain); rank++)
		if (chain_policy(chain, rank)->kind->basis == POLICY_BASIS_HOST)
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

/*
 * Compile the first `policies` policies; `total` is an upper bound of their entries. -1: out of
 * memory.
 */
static int collect(struct compiled *compiled, const struct chain *chain, size_t policies,
		   size_t total)
{
	struct prefix_entry *entries = reallocarray(NULL, total + 1, sizeof(*entries));
	struct prefix_entry *spare = NULL;
	size_t *ends = reallocarray(NULL, policies + 1, sizeof(*ends));
	size_t count = 0;

	if (policies > 1)
		spare = reallocarray(NULL, total + 1, sizeof(*spare));
	if (!entries || !ends || (policies > 1 && !spare)) {
		free(entries);
		free(spare);
		free(ends);
		return -1;
	}
	for (size_t rank = 0; rank < policies; rank++) {
		const struct policy *policy = chain_policy(chain, rank);
		const struct byteset *set = policy_prefixes(policy);
		ssize_t more =
			set ? append_set(compiled, entries + count, set, rank, policy->cost) : 0;

		if (more < 0) {
			compiled->horizon = rank;
			policies = rank;
			break;
		}
		count += more;
		ends[rank] = count;
	}
	compiled->entries = merge_runs(entries, spare, ends, policies);
	compiled->count = flatten(compiled, compiled->entries, count);
	compiled->lines = prefix_tree_lines(compiled->entries, compiled->count);
	free(compiled->entries == entries ? spare : entries);
	free(ends);
	return 0;
}

int chain_compile(const struct chain *chain, struct compiled **compiled, struct error *error)
{
	struct compiled *made = calloc(1, sizeof(*made));
	size_t policies, total = 0;

	if (!made)
		return error_set(error, "out of memory");
	made->horizon = find_horizon(chain);
	made->default_rank = chain_count(chain);
	made->default_verdict = chain_default_verdict(chain);
	made->answers = reallocarray(NULL, ANSWERS_MAX, sizeof(*made->answers));
	policies = made->horizon == RANK_NONE ? chain_count(chain) : made->horizon;
	for (size_t rank = 0; rank < policies; rank++) {
		const struct byteset *set = policy_prefixes(chain_policy(chain, rank));

		total += set ? byteset_count(set) : 0;
	}
	if (!made->answers || collect(made, chain, policies, total) ||
	    compile_sources(chain, made)) {
		compiled_free(made);
		return error_set(error, "out of memory for %zu prefixes", total);
	}
	made->first_gate = find_gate(chain);
	made->memory = find_memory(chain, made->horizon);
	*compiled = made;
	return 0;
}

void compiled_free(struct compiled *compiled)
{
	if (!compiled)
		return;
	free(compiled->entries);
	free(compiled->answers);
	free(compiled->sources);
	free(compiled);
}
