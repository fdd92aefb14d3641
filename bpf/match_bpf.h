/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The lookups for match.h, with those of its parts that the verifier follows by themselves:
 * functions that are neither inline nor static, and those that bpf_loop() calls. It follows these
 * once, and not once for each path that leads to them, or for each iteration of a loop.
 */
#ifndef XDP_ICP_MATCH_BPF_H
#define XDP_ICP_MATCH_BPF_H

#include "lookups.h"

/* --- texts */

struct text_search {
	const struct prefix_tree *tree;
	const text_word *words;
	struct prefix_cursor *cursor;
	__u32 length;
	enum prefix_step step; /* the last one's */
};

static long text_step(__u32 number, struct text_search *search)
{
	search->step = prefix_probe(search->cursor, search->tree, search->words, search->length,
				    lookup_bucket, NULL);
	return search->step != PREFIX_STEP_CONTINUE;
}

/* The steps of prefix_find() after the first one: enum prefix_step. */
__attribute__((noinline)) __u32 find_below(const struct map_chain *chain, struct scratch *scratch,
					   __u32 reading)
{
	struct text_search search = { .step = PREFIX_STEP_FAIL };
	struct match_text text;

	if (!chain || !scratch || reading >= URL_READINGS) /* never: for the verifier */
		return PREFIX_STEP_FAIL;
	ICP_BOUNDED(reading);
	text = match_text(scratch, reading);
	search.tree = &chain->trees[reading];
	search.words = text.words;
	search.cursor = &scratch->cursor;
	search.length = text.length;
	bpf_loop(PREFIX_STEPS - 1, text_step, &search, 0);
	return search.step;
}

/* What the program gives match() as `maps`. Only lookup_text() of URL_FORWARD reads it; elsewhere it is NULL. */
struct begun {
	const struct prefix_bucket *bucket; /* of the URL's lookup, which has begun */
};

/* prefix_find() */
ICP_INLINE __u32 lookup_text(void *maps, const struct map_chain *chain, struct scratch *scratch,
			     enum url_reading reading)
{
	const struct prefix_tree *tree = &chain->trees[reading];
	struct prefix_cursor *cursor = &scratch->cursor;
	struct match_text text = match_text(scratch, reading);
	const struct prefix_bucket *bucket;
	struct prefix_first first;

	if (reading == URL_FORWARD)
		bucket = ((const struct begun *)maps)->bucket;
	else
		bucket = prefix_begin(cursor, tree, text.words, text.length, lookup_bucket, maps);
	first = prefix_first(cursor, tree, bucket, text.length);
	if (first.step == PREFIX_STEP_CONTINUE) {
		first.step = find_below(chain, scratch, reading);
		first.node = &cursor->found[0].node;
		first.head = ICP_READ_BACK(cursor->found[0].head);
	}
	if (first.step != PREFIX_STEP_END)
		return PREFIX_COLLISION;
	return prefix_decide(tree, first.node, first.head, text.words, lookup_line, maps);
}

/* Begin lookup_text() of the URL as it is. */
ICP_INLINE struct begun lookup_begin(const struct map_chain *chain, struct scratch *scratch)
{
	struct match_text text = match_text(scratch, URL_FORWARD);
	struct begun begun;

	begun.bucket = prefix_begin(&scratch->cursor, &chain->trees[URL_FORWARD], text.words,
				    text.length, lookup_bucket, NULL);
	return begun;
}

/* match_reading() */
__attribute__((noinline)) __u32 find_reading(const struct map_chain *chain, struct scratch *scratch,
					     __u32 reading)
{
	if (!chain || !scratch || reading >= URL_READINGS) /* never: for the verifier */
		return PREFIX_COLLISION;
	ICP_BOUNDED(reading);
	return match_reading(chain, scratch, reading, lookup_text, NULL);
}

/* match_place() */
__attribute__((noinline)) __u32 find_place(const struct map_chain *chain, struct scratch *scratch,
					   __u32 reading, __u32 at)
{
	if (!chain || !scratch || reading >= URL_READINGS) /* never: for the verifier */
		return PREFIX_COLLISION;
	ICP_BOUNDED(reading);
	return match_place(chain, scratch, reading, at, lookup_text, NULL);
}

ICP_INLINE __u32 lookup_place(void *maps, const struct map_chain *chain, struct scratch *scratch,
			      enum url_reading reading, __u32 at)
{
	return find_place(chain, scratch, reading, at);
}

struct inside_search {
	const struct map_chain *chain;
	struct scratch *scratch;
	__u32 reading;
	__u32 first; /* step */
};

static long inside_step(__u32 i, const struct inside_search *search)
{
	return !match_inside_step(search->chain, search->scratch, search->reading,
				  search->first + i, lookup_place, lookup_bucket, NULL);
}

/* match_inside_first() */
__attribute__((noinline)) __u32 find_first(const struct map_chain *chain,
					   const struct scratch *scratch, __u32 reading)
{
	if (!chain || !scratch) /* never: for the verifier */
		return 0;
	return match_inside_first(chain, scratch, reading);
}

/* The steps of match_inside() */
__attribute__((noinline)) int find_inside(const struct map_chain *chain, struct scratch *scratch,
					  __u32 reading, __u32 first)
{
	struct inside_search search = { chain, scratch, reading, first };

	if (chain && scratch && first < PREFIX_WORDS) /* always: for the verifier */
		bpf_loop(PREFIX_WORDS - first, inside_step, &search, 0);
	return 0;
}

ICP_INLINE __u32 lookup_reading(void *maps, const struct map_chain *chain, struct scratch *scratch,
				enum url_reading reading)
{
	__u32 first;

	if (reading < URL_INSIDE)
		return find_reading(chain, scratch, reading);
	match_inside_begin(chain, scratch, reading);
	first = find_first(chain, scratch, reading);
	if (first < PREFIX_WORDS)
		find_inside(chain, scratch, reading, first);
	return match_inside_end(chain, scratch, reading);
}

/* --- keys, patterns, and what was seen lately */

/* match_key() */
__attribute__((noinline)) int find_key(struct scratch *scratch, const struct url_key_form *form)
{
	if (scratch && form) /* always: for the verifier */
		match_key(NULL, scratch, form);
	return 0;
}

ICP_INLINE void lookup_key(void *maps, struct scratch *scratch, const struct url_key_form *form)
{
	find_key(scratch, form);
}

struct group_loop {
	struct scratch *scratch;
	__u32 first;
	__u32 failed;
};

ICP_INLINE enum icp_counter lookup_others(const struct map_chain *chain, __u32 slot, __u32 answer,
					  struct scratch *scratch,
					  const struct match_lookups *table, void *maps);
ICP_INLINE enum icp_counter lookup_timed(const struct map_chain *chain, __u32 slot,
					 struct scratch *scratch, const struct match_lookups *table,
					 void *maps);
ICP_INLINE __u32 lookup_automata(const struct map_chain *chain, __u32 slot, struct scratch *scratch,
				 __u32 best, const struct match_lookups *table, void *maps);
ICP_INLINE bool lookup_groups(void *maps, struct scratch *scratch, __u32 first, __u32 count);
ICP_INLINE __u32 lookup_recent(void *maps, const struct map_chain *chain, __u32 number, __u32 store,
			       struct scratch *scratch, __u64 now);

static const struct match_lookups lookups = {
	.find = lookup_text,
	.others = lookup_others,
	.timed = lookup_timed,
	.reading = lookup_reading,
	.automata = lookup_automata,
	.groups = lookup_groups,
	.key = lookup_key,
	.places = lookup_places,
	.recent = lookup_recent,
	.recent_slot = lookup_recent_slot,
	.rule = lookup_rule,
	.answer = lookup_answer,
	.source = lookup_source,
	.watch = lookup_watch,
	.verdict = lookup_verdict,
	.now = lookup_now,
};

static long walk_group(__u32 i, struct group_loop *loop)
{
	const struct automaton_group *group = lookup_group(loop->first + i);

	if (group)
		return !match_group(loop->scratch, group, i, &lookups, NULL);
	loop->failed = 1;
	return 1;
}

/*
 * The verifier follows the walk once, not once per group as in a plain loop: the kernel calls the
 * function.
 */
ICP_INLINE bool lookup_groups(void *maps, struct scratch *scratch, __u32 first, __u32 count)
{
	struct group_loop loop = { scratch, first, 0 };

	bpf_loop(count & 7, walk_group, &loop, 0);
	return !loop.failed;
}

/* match_automata() */
__attribute__((noinline)) __u32 find_automata(const struct map_chain *chain, __u32 slot,
					      struct scratch *scratch, __u32 best)
{
	if (!chain || !scratch) /* never: for the verifier */
		return MATCH_FAILED;
	return match_automata(chain, slot, scratch, best, &lookups, NULL);
}

ICP_INLINE __u32 lookup_automata(const struct map_chain *chain, __u32 slot, struct scratch *scratch,
				 __u32 best, const struct match_lookups *table, void *maps)
{
	return find_automata(chain, slot, scratch, best);
}

/* match_recent() */
__attribute__((noinline)) __u32 find_recent(const struct map_chain *chain, __u32 number,
					    __u32 store, struct scratch *scratch, __u64 now)
{
	if (!chain || !scratch || number >= RECENTS_MAX) /* never: for the verifier */
		return RECENT_UNKNOWN;
	ICP_BOUNDED(number);
	return match_recent(chain, number, store, scratch, now, &lookups, NULL);
}

ICP_INLINE __u32 lookup_recent(void *maps, const struct map_chain *chain, __u32 number, __u32 store,
			       struct scratch *scratch, __u64 now)
{
	return find_recent(chain, number, store, scratch, now);
}

/* match_others() and match_timed(): functions, so that chains of prefixes alone do not pay for them. */
__attribute__((noinline)) __u32 find_others(const struct map_chain *chain, __u32 slot, __u32 answer,
					    struct scratch *scratch)
{
	if (!chain || !scratch) /* never: for the verifier */
		return ICP_COUNT_PASSED_FAILED;
	return match_others(chain, slot, answer, scratch, &lookups, NULL);
}

__attribute__((noinline)) __u32 find_timed(const struct map_chain *chain, __u32 slot,
					   struct scratch *scratch)
{
	if (!chain || !scratch) /* never: for the verifier */
		return ICP_COUNT_PASSED_FAILED;
	return match_timed(chain, slot, scratch, &lookups, NULL);
}

ICP_INLINE enum icp_counter lookup_others(const struct map_chain *chain, __u32 slot, __u32 answer,
					  struct scratch *scratch,
					  const struct match_lookups *table, void *maps)
{
	return find_others(chain, slot, answer, scratch);
}

ICP_INLINE enum icp_counter lookup_timed(const struct map_chain *chain, __u32 slot,
					 struct scratch *scratch, const struct match_lookups *table,
					 void *maps)
{
	return find_timed(chain, slot, scratch);
}

#endif
