// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What flatten() needs is collected here: the sorted texts of each policy, merged.
 *
 * A text of more than PREFIX_MAX bytes is omitted: it only matches URLs of at least that many bytes
 * with their NUL, and those are passed up because of their length.
 */
#include <stdlib.h>
#include <string.h>

#include "chain/compile_texts.h"
#include "lib/byteset.h"
#include "lib/bytesort.h"
#include "policy/patterns.h"

/* Order of the entries in a run: by text, then by answer, which implies rank. */
static int compare_entries(const struct prefix_entry *a, const struct prefix_entry *b)
{
	int order = byteset_compare(a->text, a->length, b->text, b->length);

	return order ? order : (a->answer > b->answer) - (a->answer < b->answer);
}

/* The reading in which the texts of a policy are looked for. */
static enum url_reading reading_of(const struct policy *policy)
{
	if (policy_inside(policy))
		return policy->negate ? URL_ABSENT : URL_INSIDE;
	return policy->kind->reading;
}

/*
 * Append the entries of a policy that is a set of texts. Returns -1 with nothing changed: no room for
 * its answers.
 */
static int collect_set(struct text_collection *collection, struct compiled *compiled, bool *negated,
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
	answer = compiled_add_answer(compiled, rank, policy->verdict, policy->cost);
	if (answer == PREFIX_NO_ANSWER)
		return PREFIX_NO_ANSWER;
	compiled->absent_answers[compiled->absent_count] = answer;
	return 1u << compiled->absent_count++;
}

/*
 * The same for a policy on texts inside the URL. Its answers are in the order of the list: each change
 * of the verdict along it takes one. With `not`, all texts have the policy's bit.
 */
static int collect_inside(struct text_collection *collection, struct compiled *compiled,
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
			answer = compiled_add_answer(compiled, rank, text->answer, policy->cost);
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

int compile_texts_add(struct compile_texts *texts, struct compiled *compiled,
		      const struct policy *policy, __u32 rank)
{
	struct text_collection *collection = &texts->readings[reading_of(policy)];

	if (policy_texts(policy))
		return collect_set(collection, compiled, texts->negated, policy, rank);
	if (policy_inside(policy))
		return collect_inside(collection, compiled, policy, rank);
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

/* The lines that a text takes in the kernel; longer ones than PREFIX_MAX are omitted. */
static size_t lines_of(size_t length)
{
	return length <= PREFIX_MAX ? PREFIX_LINES(length) : 0;
}

size_t compile_texts_lines(const struct policy *policy)
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

int compile_texts_open(struct compile_texts *texts, const struct chain *chain, size_t policies)
{
	size_t totals[URL_READINGS] = { 0 };

	*texts = (struct compile_texts){ 0 };
	for (size_t rank = 0; rank < policies; rank++) {
		const struct policy *policy = chain_policy(chain, rank);

		totals[reading_of(policy)] += policy_text_count(policy);
	}
	for (int reading = 0; reading < URL_READINGS; reading++) {
		struct text_collection *one = &texts->readings[reading];

		one->entries = reallocarray(NULL, totals[reading] + 1, sizeof(*one->entries));
		one->spare = reallocarray(NULL, totals[reading] + 1, sizeof(*one->spare));
		one->ends = reallocarray(NULL, policies + 1, sizeof(*one->ends));
		one->complements = reallocarray(NULL, policies + 1, sizeof(*one->complements));
		if (!one->entries || !one->spare || !one->ends || !one->complements)
			return -1;
	}
	return 0;
}

void compile_texts_free(struct compile_texts *texts)
{
	for (int reading = 0; reading < URL_READINGS; reading++) {
		const struct text_collection *one = &texts->readings[reading];

		free(one->entries);
		free(one->spare);
		free(one->ends);
		free(one->complements);
	}
}

static void finish(struct compiled_texts *texts, struct text_collection *collection,
		   const struct compiled *compiled, const bool *negated, enum url_reading reading)
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

void compile_texts_finish(struct compile_texts *texts, struct compiled *compiled)
{
	for (int reading = 0; reading < URL_READINGS; reading++) {
		struct compiled_texts *made = &compiled->texts[reading];

		finish(made, &texts->readings[reading], compiled, texts->negated, reading);
		compiled->count += made->count;
		compiled->lines += made->lines;
	}
}
