// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What flatten() needs is collected here: the sorted texts of each policy, merged, and the answers.
 * Policies on patterns are in compile_patterns.c.
 *
 * The horizon: policies after the first one that the kernel cannot evaluate are not compiled. If a
 * policy before the horizon matches, the first such policy decides, whatever comes after it. If none
 * does, no text has an answer, and the default, whose rank is the last, lies beyond the horizon: the
 * query is passed up, as it must be.
 *
 * Answers are numbered in the order of the ranks of their policies, so the smaller answer never
 * belongs to a later policy. If the chain has more answers than the kernel has room for, the horizon
 * is the policy with the first one in excess.
 *
 * A text of more than PREFIX_MAX bytes is omitted: it only matches URLs of at least that many bytes
 * with their NUL, and those are passed up because of their length.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "chain/compile.h"
#include "chain/compile_patterns.h"
#include "chain/flatten.h"
#include "lib/byteset.h"
#include "lib/bytesort.h"
#include "policy/kinds/recent.h"
#include "policy/patterns.h"

/* The texts of one reading while they are collected. */
struct collection {
	struct prefix_entry *entries, *spare; /* of the same size */
	size_t count;
	size_t *ends; /* of each policy's sorted run of entries */
	size_t runs;
	uint16_t *complements; /* as in struct flatten_answers */
	size_t complement_count;
};

/* Order of the entries in a run: by text, then by answer, which implies rank. */
static int compare_entries(const struct prefix_entry *a, const struct prefix_entry *b)
{
	int order = byteset_compare(a->text, a->length, b->text, b->length);

	return order ? order : (a->answer > b->answer) - (a->answer < b->answer);
}

/* Add an answer behind all others. Returns its number, as compiled_answer(). */
static uint16_t add_answer(struct compiled *compiled, __u32 rank, enum icp_opcode verdict,
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
	return add_answer(compiled, rank, verdict, cost);
}

/*
 * Append the entries of a policy that is a set of texts. Returns -1 with nothing changed: no room for
 * its answers.
 */
static int collect_policy(struct collection *collection, struct compiled *compiled, bool *negated,
			  const struct policy *policy, __u32 rank)
{
	const struct byteset *set = policy_texts(policy);
	struct prefix_entry *entries = collection->entries + collection->count;
	uint16_t answer = PREFIX_NO_ANSWER;
	size_t count = 0;

	if (policy->negate) { /* its verdict is that of all other texts */
		answer = compiled_answer(compiled, rank, policy->verdict, policy->cost);
		if (answer == PREFIX_NO_ANSWER)
			return -1;
		negated[answer - 1] = true;
		/* All collections are open; the analyzer does not count that far. */
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
		collection->complements[collection->complement_count++] = answer;
	}
	for (size_t i = 0; i < byteset_count(set); i++) {
		struct byteset_member member = byteset_get(set, i);

		if (member.length > PREFIX_MAX)
			continue;
		if (!policy->negate)
			answer = compiled_answer(compiled, rank, member.verdict,
						 member.cost == ICP_NO_COST ? policy->cost
									    : member.cost);
		if (answer == PREFIX_NO_ANSWER)
			return -1;
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
		entries[count++] = (struct prefix_entry){ member.text, member.length, answer };
	}
	collection->count += count;
	collection->ends[collection->runs++] = collection->count;
	return 0;
}

/* The bit of a policy with `not` among those of URL_ABSENT, or PREFIX_NO_ANSWER: no room for it. */
static uint16_t add_absent(struct compiled *compiled, const struct policy *policy, __u32 rank)
{
	uint16_t answer;

	if (compiled->absent_count == ABSENT_MAX) {
		error_set(&compiled->horizon_reason,
			  "it is one of more than %u policies with `not` on many substrings",
			  ABSENT_MAX);
		return PREFIX_NO_ANSWER;
	}
	answer = add_answer(compiled, rank, policy->verdict, policy->cost);
	if (answer == PREFIX_NO_ANSWER)
		return PREFIX_NO_ANSWER;
	compiled->absent_answers[compiled->absent_count] = answer;
	return 1u << compiled->absent_count++;
}

/*
 * The same for a policy on texts inside the URL. Its answers are in the order of the list: each change
 * of the verdict along it takes one. With `not` all texts have the policy's bit.
 */
static int collect_inside(struct collection *collection, struct compiled *compiled,
			  const struct policy *policy, __u32 rank)
{
	const struct patterns *texts = policy_inside(policy);
	struct prefix_entry *entries = collection->entries + collection->count;
	struct bytesort_item *items = reallocarray(NULL, texts->count + 1, sizeof(*items));
	uint16_t answer = PREFIX_NO_ANSWER;
	size_t count = 0;

	if (!items)
		return error_set(&compiled->horizon_reason, "out of memory");
	if (policy->negate) { /* also if the list is empty */
		answer = add_absent(compiled, policy, rank);
		if (answer == PREFIX_NO_ANSWER) {
			free(items);
			return -1;
		}
	}
	for (size_t i = 0; i < texts->count; i++) {
		const struct automaton_pattern *text = &texts->list[i];

		if (!policy->negate && (i == 0 || text->answer != texts->list[i - 1].answer))
			answer = add_answer(compiled, rank, text->answer, policy->cost);
		if (answer == PREFIX_NO_ANSWER) {
			free(items);
			return -1;
		}
		if (text->length <= PREFIX_MAX)
			items[count++] = (struct bytesort_item){
				.text = text->text,
				.length = text->length,
				.number = answer,
			};
	}
	bytesort(items, count);
	for (size_t i = 0; i < count; i++)
		entries[i] =
			(struct prefix_entry){ items[i].text, items[i].length, items[i].number };
	free(items);
	collection->count += count;
	collection->ends[collection->runs++] = collection->count;
	return 0;
}

/* Take the policy's table, with an answer for each place. -1: no room for them. */
static int collect_partition(struct compiled *compiled, const struct policy *policy, __u32 rank)
{
	const struct policy_partition *partition = policy_partition(policy);
	struct map_partition map = { partition->hashed, rank, compiled->answer_count + 1 };

	for (unsigned int place = 0; place <= partition->depth; place++)
		if (add_answer(compiled, rank, partition->verdicts[place].opcode,
			       partition->verdicts[place].cost) == PREFIX_NO_ANSWER)
			return -1;
	compiled->partition.map = map;
	compiled->partition.lines = partition->lines;
	return 0;
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
		  kind->automaton ? refused : "policies of its kind are evaluated by the daemon");
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

/* Behind the horizon as well: they stand before what is remembered. */
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

/* The reading in which the texts of a policy are looked for. */
static enum url_reading reading_of(const struct policy *policy)
{
	if (policy_inside(policy))
		return policy->negate ? URL_ABSENT : URL_INSIDE;
	return policy->kind->reading;
}

/* Allocate the collections of all readings. Returns -1: out of memory. */
static int open_collections(struct collection *collections, const struct chain *chain,
			    const struct compiled *compiled)
{
	size_t policies = compiled_policies(chain, compiled), totals[URL_READINGS] = { 0 };

	for (size_t rank = 0; rank < policies; rank++) {
		const struct policy *policy = chain_policy(chain, rank);

		totals[reading_of(policy)] += policy_text_count(policy);
	}
	for (int reading = 0; reading < URL_READINGS; reading++) {
		struct collection *one = &collections[reading];

		one->entries = reallocarray(NULL, totals[reading] + 1, sizeof(*one->entries));
		one->spare = reallocarray(NULL, totals[reading] + 1, sizeof(*one->spare));
		one->ends = reallocarray(NULL, policies + 1, sizeof(*one->ends));
		one->complements = reallocarray(NULL, policies + 1, sizeof(*one->complements));
		if (!one->entries || !one->spare || !one->ends || !one->complements)
			return -1;
	}
	return 0;
}

static void close_collections(const struct collection *collections)
{
	for (int reading = 0; reading < URL_READINGS; reading++) {
		free(collections[reading].entries);
		free(collections[reading].spare);
		free(collections[reading].ends);
		free(collections[reading].complements);
	}
}

/* The lines that a text takes in the kernel; longer ones than PREFIX_MAX are omitted. */
static size_t lines_of(size_t length)
{
	return length <= PREFIX_MAX ? PREFIX_LINES(length) : 0;
}

/* The lines that the texts of a policy take at most: those of other policies may be the same. */
static size_t count_lines(const struct policy *policy)
{
	const struct byteset *set = policy_texts(policy);
	const struct patterns *inside = policy_inside(policy);
	size_t lines = 0;

	for (size_t i = 0; set && i < byteset_count(set); i++)
		lines += lines_of(byteset_get(set, i).length);
	for (size_t i = 0; inside && i < inside->count; i++)
		lines += lines_of(inside->list[i].length);
	return lines;
}

/* Collect all policies up to the horizon, which what has no room moves. */
static void collect_policies(struct collection *collections, struct compile_patterns *patterns,
			     struct compiled *compiled, bool *negated, const struct chain *chain,
			     size_t lines_max)
{
	size_t policies = compiled_policies(chain, compiled), lines = 0;

	for (size_t rank = 0; rank < policies; rank++) {
		const struct policy *policy = chain_policy(chain, rank);
		int result = 0;

		if (lines_max != SIZE_MAX)
			lines += count_lines(policy);
		compiled->lacks_room = lines > lines_max;
		if (compiled->lacks_room)
			result = error_set(
				&compiled->horizon_reason,
				"its %zu texts have no room in the kernel's maps, which have %zu "
				"lines of %u bytes; " ADVICE_FOR_ROOM
				", with a larger prefixes_max if that is set",
				policy_text_count(policy), lines_max, PREFIX_LINE);
		else if (policy_texts(policy))
			result = collect_policy(&collections[reading_of(policy)], compiled, negated,
						policy, rank);
		else if (policy_inside(policy))
			result = collect_inside(&collections[reading_of(policy)], compiled, policy,
						rank);
		if (!result && policy->kind->automaton)
			result = compile_patterns_add(patterns, compiled, policy, rank);
		if (!result && policy_partition(policy))
			result = collect_partition(compiled, policy, rank);
		if (result) {
			compiled->horizon = rank;
			return;
		}
	}
}

static void finish_texts(struct compiled_texts *texts, struct collection *collection,
			 const struct compiled *compiled, const bool *negated,
			 enum url_reading reading)
{
	static const enum flatten_rule rules[URL_READINGS] = {
		[URL_INSIDE] = FLATTEN_FIRST,
		[URL_ABSENT] = FLATTEN_ALL,
	};
	const struct flatten_answers answers = {
		.answers = compiled->answers,
		.negated = negated,
		.complements = collection->complements,
		.complement_count = collection->complement_count,
		.rule = rules[reading],
	};
	struct prefix_entry *sorted = merge_runs(collection->entries, collection->spare,
						 collection->ends, collection->runs);

	if (sorted == collection->spare)
		collection->spare = collection->entries;
	collection->entries = sorted;
	texts->entries = collection->spare;
	collection->spare = NULL;
	texts->count = flatten(texts->entries, sorted, collection->count, &answers);
	texts->lines = prefix_tree_lines(texts->entries, texts->count);
	for (size_t i = 0; i < texts->count && reading != URL_ABSENT; i++)
		if (answer_precedes(texts->entries[i].answer, texts->least_answer))
			texts->least_answer = texts->entries[i].answer;
	if (reading == URL_ABSENT)
		texts->least_answer = compiled->absent_answers[0];
}

/* Fill the members about texts and patterns. Returns -1: out of memory. */
static int compile_policies(struct compiled *compiled, const struct chain *chain, size_t lines_max)
{
	struct collection collections[URL_READINGS] = { 0 };
	struct compile_patterns patterns = { 0 };
	bool negated[ANSWERS_MAX] = { false };
	int result = open_collections(collections, chain, compiled);

	compiled->answers = reallocarray(NULL, ANSWERS_MAX, sizeof(*compiled->answers));
	if (!compiled->answers)
		result = -1;
	if (!result)
		collect_policies(collections, &patterns, compiled, negated, chain, lines_max);
	if (!result)
		result = compile_patterns_finish(&patterns, compiled);
	for (int reading = 0; reading < URL_READINGS && !result; reading++) {
		struct compiled_texts *texts = &compiled->texts[reading];

		finish_texts(texts, &collections[reading], compiled, negated, reading);
		compiled->count += texts->count;
		compiled->lines += texts->lines;
	}
	close_collections(collections);
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
