// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "chain/gram_filter.h"
#include "chain/image.h"
#include "chain/tree.h"
#include "recent/store.h"

/*
 * At most one text per line, an empty text in each tree, the extra buckets of each tree, and the
 * filters of the texts that are looked for inside the URL.
 */
size_t chain_image_buckets(size_t lines)
{
	return prefix_tree_buckets(lines + URL_READINGS) +
	       (URL_READINGS - 1) * prefix_tree_buckets(1) + gram_filter_buckets(lines) +
	       (URL_SEARCHES - 1) * gram_filter_buckets(1);
}

static __u32 find_others(const struct compiled *compiled)
{
	__u32 others = 0;

	if (compiled->source_count)
		others |= OTHER_SOURCES;
	if (compiled->group_count)
		others |= OTHER_PATTERNS;
	if (compiled->partition.lines)
		others |= OTHER_PARTITION;
	if (compiled->recent_count)
		others |= OTHER_RECENTS;
	for (int reading = 0; reading < URL_READINGS; reading++)
		if (reading != URL_FORWARD &&
		    compiled->texts[reading].least_answer != PREFIX_NO_ANSWER)
			others |= OTHER_READINGS;
	return others;
}

static void set_recents(struct map_chain *chain, const struct compiled *compiled)
{
	for (size_t i = 0; i < RECENTS_MAX; i++)
		chain->recents[i] = i < compiled->recent_count
					    ? compiled->recents[i]
					    : (struct map_recent){ .rank = RANK_NONE };
	chain->recent_keys = *recent_hash_keys();
}

int chain_image_write(struct map_chain *chain, const struct compiled *compiled,
		      const struct image_place *place)
{
	size_t bucket = 0, line = 0;

	*chain = (struct map_chain){
		.horizon = compiled->horizon,
		.default_rank = compiled->default_rank,
		.default_verdict = compiled->default_verdict,
		.first_gate = compiled->first_gate,
		.others = find_others(compiled),
		.memory = compiled->memory,
		.groups = compiled->group_count,
		.first_answer = place->first_answer,
		.partition = compiled->partition.map,
		.filter = compiled->filter,
	};
	set_recents(chain, compiled);
	memcpy(chain->absent_answers, compiled->absent_answers, sizeof(chain->absent_answers));
	chain->absent_all = (1u << compiled->absent_count) - 1;
	for (int reading = 0; reading < URL_READINGS; reading++) {
		const struct compiled_texts *texts = &compiled->texts[reading];
		struct prefix_tree *tree = &chain->trees[reading];

		chain->least_answer[reading] = texts->least_answer;
		if (prefix_tree_build(tree, texts->entries, texts->count, place->buckets + bucket,
				      place->lines + line))
			return -1;
		tree->first_bucket = place->first_bucket + bucket;
		tree->first_line = place->first_line + line;
		bucket += prefix_tree_buckets(texts->count);
		line += texts->lines;
	}
	for (int search = 0; search < URL_SEARCHES; search++) {
		const struct compiled_texts *texts = &compiled->texts[URL_INSIDE + search];
		struct gram_filter *grams = &chain->grams[search];

		if (gram_filter_build(grams, texts->entries, texts->count, place->buckets + bucket))
			return -1;
		grams->first_bucket = place->first_bucket + bucket;
		bucket += gram_filter_buckets(texts->count);
	}
	return 0;
}
