// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Random lists of patterns, compiled, packed and walked as in the kernel, against PCRE2, fnmatch()
 * and memmem(). XDP_ICP_AUTOMATA=N makes it N million comparisons, XDP_ICP_SEED another sequence.
 *
 * PCRE2 is the judge with its optimisations off, and without some patterns: PCRE2 10.42 misses
 * matches. In \S+\h it takes \S+ for possessive, although both match a byte a0. (b|^a){0}c it takes
 * for anchored, looking at the second alternative of a group that is left out.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <sys/resource.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "automaton/pack.h"
#include "support/patterns.h"

#define LISTS 10     /* at most */
#define LENGTH_MAX 8 /* patterns of a list */
#define TEXT_MAX 300
#define WALK_MAX 255 /* bytes of a text that the kernel walks over */
#define TEXTS 60     /* for each set of lists */
#define JUDGE_OPTIONS                                                                              \
	(PCRE2_NEVER_UTF | PCRE2_NO_AUTO_POSSESS | PCRE2_NO_START_OPTIMIZE |                       \
	 PCRE2_NO_DOTSTAR_ANCHOR)

struct list {
	enum automaton_syntax syntax;
	size_t count;
	struct pattern_text texts[LENGTH_MAX];
	struct automaton_pattern patterns[LENGTH_MAX];
	pcre2_code *codes[LENGTH_MAX];
	uint16_t otherwise;
	struct automaton *automaton;
	struct automaton_group *single;
	size_t slot;
};

static struct {
	unsigned long long comparisons, hits, given_up, lists, refused, backward, groups;
	unsigned long long spared_hits
		[FILTER_STRIDE_MAX]; /* by the stride of a filter that could spare them */
} count;

static pcre2_match_data *found;
static pcre2_match_context *limits;
static uint64_t seed;

static void report(const struct list *list, const char *text, size_t length, uint32_t expected,
		   uint32_t got, const char *how)
{
	for (size_t i = 0; i < list->count; i++)
		print_error("syntax %d, %.*s -> %u\n", list->syntax, (int)list->texts[i].length,
			    list->texts[i].bytes, list->patterns[i].answer);
	print_error("else %u; text '%.*s' of %zu bytes:", list->otherwise, (int)length, text,
		    length);
	for (size_t i = 0; i < length; i++)
		print_error(" %02x", (unsigned char)text[i]);
	fail_msg("%s: %u instead of %u", how, got, expected);
}

static void release(struct list *list)
{
	automaton_free(list->automaton);
	free(list->single);
	for (size_t i = 0; i < list->count; i++)
		pcre2_code_free(list->codes[i]);
}

static pcre2_code *code_of(const struct pattern_text *text)
{
	PCRE2_SIZE offset;
	int error;

	return pcre2_compile((PCRE2_SPTR)text->bytes, text->length, JUDGE_OPTIONS, &error, &offset,
			     NULL);
}

/* A group that is left out and has alternatives, perhaps: see above. */
static bool is_misjudged(const struct pattern_text *text)
{
	return memchr(text->bytes, '|', text->length) &&
	       (memmem(text->bytes, text->length, "{0}", 3) ||
		memmem(text->bytes, text->length, "{0,0}", 5));
}

static void make_pattern(struct list *list, size_t rank)
{
	struct pattern_text *text = &list->texts[list->count];

	do {
		random_pattern(text, &seed, list->syntax);
		list->codes[list->count] = NULL;
		if (list->syntax == AUTOMATON_REGEX && !is_misjudged(text))
			list->codes[list->count] = code_of(text);
	} while (list->syntax == AUTOMATON_REGEX && !list->codes[list->count]);
	list->patterns[list->count++] = (struct automaton_pattern){
		.text = text->bytes,
		.length = text->length,
		.answer = random_below(&seed, 8) ? 1 + 8 * rank + random_below(&seed, 3) : 0,
	};
}

/* Make a list that can be compiled. */
static void make_list(struct list *list, size_t rank)
{
	struct error error;

	for (;;) {
		uint32_t kind = random_below(&seed, 10);
		size_t wanted = random_below(&seed, 3) ? 1 : 1 + random_below(&seed, LENGTH_MAX);

		*list = (struct list){ .syntax = kind < 7   ? AUTOMATON_REGEX
						 : kind < 9 ? AUTOMATON_GLOB
							    : AUTOMATON_SUBSTRING };
		while (list->count < wanted)
			make_pattern(list, rank);
		list->otherwise =
			random_below(&seed, 6) ? 0 : 1 + 8 * rank + random_below(&seed, 4);
		list->automaton = automaton_compile(list->syntax, list->patterns, list->count,
						    list->otherwise, &error);
		if (list->automaton)
			break;
		count.refused++;
		release(list);
	}
	list->single = automaton_single(list->automaton);
	assert_non_null(list->single);
	count.lists++;
	count.backward += list->automaton->backward;
}

/* Returns 1: the pattern matches; 0: it does not; -1: PCRE2 has given up. */
static int judge(const struct list *list, size_t i, char *text, size_t length)
{
	const struct pattern_text *pattern = &list->texts[i];
	char terminated[PATTERN_MAX + 1];
	int result;

	switch (list->syntax) {
	case AUTOMATON_SUBSTRING:
		return memmem(text, length, pattern->bytes, pattern->length) != NULL;
	case AUTOMATON_GLOB:
		memcpy(terminated, pattern->bytes, pattern->length);
		terminated[pattern->length] = '\0';
		text[length] = '\0';
		return fnmatch(terminated, text, 0) == 0;
	default:
		result = pcre2_match(list->codes[i], (PCRE2_SPTR)text, length, 0, 0, found, limits);
		if (result == PCRE2_ERROR_NOMATCH)
			return 0;
		return result >= 0 ? 1 : -1;
	}
}

/* The answer that the list has for a text; -1: it cannot be said. */
static int64_t expected_answer(const struct list *list, char *text, size_t length)
{
	for (size_t i = 0; i < list->count; i++) {
		int result = judge(list, i, text, length);

		if (result)
			return result > 0 ? list->patterns[i].answer : -1;
	}
	return list->otherwise;
}

/* The answer of one slot: the walk goes on to the end of the text, even if the group's is certain. */
static uint32_t slot_answer(const struct automaton_group *group, const struct automaton_walk *walk,
			    size_t slot)
{
	assert_in_range(walk->state[slot], 0, group->none);
	assert_int_equal(walk->state[slot] % AUTOMATON_SINK, 0);
	return walk->state[slot] == group->none
		       ? AUTOMATON_NO_ANSWER
		       : group->answers[walk->state[slot] / AUTOMATON_SINK];
}

static size_t make_text(char *text, const struct list *lists, size_t lists_used)
{
	const struct list *list = &lists[random_below(&seed, lists_used)];
	size_t length;

	if (random_below(&seed, 3))
		length = walk_text(text, TEXT_MAX, &seed, list->automaton);
	else
		length = pieces_text(text, TEXT_MAX, &seed, list->texts, list->count);
	while (random_below(&seed, 2))
		length = mutate_text(text, length, TEXT_MAX, &seed);
	return length;
}

static void compare(const struct list *list, const char *text, size_t length, int64_t expected,
		    uint32_t got, const char *how)
{
	if (expected != got)
		report(list, text, length, expected, got, how);
}

/* Does the filter pass a list that the text has a match of? */
static void compare_filter(const struct filter *filter, uint32_t automata,
			   const struct automaton_member *member, const struct list *list,
			   const char *text, size_t length, int64_t expected)
{
	uint32_t bit = 1u << (member->group * AUTOMATON_SLOTS + list->slot);

	if (expected < 0 || expected == AUTOMATON_NO_ANSWER || filter->others & bit)
		return;
	count.spared_hits[filter->stride - 1]++;
	compare(list, text, length, bit, automata & bit, "filter");
}

static void walk_groups(const struct automaton_group *groups, size_t used,
			const struct filter *filter, const struct automaton_member *members,
			const struct list *lists, size_t lists_used, const char *text,
			size_t length, const int64_t *expected)
{
	static __u64 words[(WALK_MAX + 1) / ICP_WORD + 1];
	struct automaton_walk walk;

	memset(words, 0, sizeof(words));
	memcpy(words, text, length);
	for (size_t group = 0; group < used; group++) {
		uint32_t best =
			random_below(&seed, 4) ? AUTOMATON_NO_RANK : random_below(&seed, LISTS);
		uint32_t automata =
			filter_text(filter, words, length, sizeof(words) / ICP_WORD - 1, best);
		uint32_t got = automaton_walk_group(
			&walk, &groups[group], words, length, sizeof(words) / ICP_WORD - 1,
			automata >> group * AUTOMATON_SLOTS & AUTOMATON_ALL_SLOTS, best);
		int64_t wanted = AUTOMATON_NO_ANSWER;
		size_t first = LISTS;
		__u64 word;

		automaton_begin(&walk, &groups[group], AUTOMATON_ALL_SLOTS, AUTOMATON_NO_RANK);
		for (__u32 i = 0; i < sizeof(words) / ICP_WORD - 1; i++)
			if (automaton_word(&word, words, length, groups[group].backward, i,
					   sizeof(words) / ICP_WORD - 1))
				automaton_step(&walk, &groups[group], word);
		for (size_t i = lists_used; i-- > 0;) {
			if (members[i].group != (int)group)
				continue;
			if (i < best)
				compare_filter(filter, automata, &members[i], &lists[i], text,
					       length, expected[i]);
			if (expected[i] >= 0)
				compare(&lists[i], text, length, expected[i],
					slot_answer(&groups[group], &walk, lists[i].slot), "slot");
			if (i < best && expected[i] != AUTOMATON_NO_ANSWER) {
				wanted = expected[i];
				first = i;
			}
		}
		if (wanted >= 0)
			compare(&lists[first % LISTS], text, length, wanted, got, "group");
	}
}

static void compare_text(const struct automaton_group *groups, size_t used,
			 const struct filter *filter, const struct automaton_member *members,
			 const struct list *lists, size_t lists_used)
{
	char text[TEXT_MAX + 1];
	size_t length = make_text(text, lists, lists_used);
	int64_t expected[LISTS];

	for (size_t i = 0; i < lists_used; i++) {
		expected[i] = expected_answer(&lists[i], text, length);
		count.given_up += expected[i] < 0;
		if (expected[i] < 0)
			continue;
		count.comparisons++;
		count.hits += expected[i] != lists[i].otherwise;
		compare(&lists[i], text, length, expected[i],
			automaton_find(lists[i].single, text, length), "alone");
	}
	if (length <= WALK_MAX)
		walk_groups(groups, used, filter, members, lists, lists_used, text, length,
			    expected);
}

static void compare_lists(void)
{
	static struct automaton_group groups[AUTOMATON_GROUPS];
	static struct list lists[LISTS];
	struct automaton_member members[LISTS];
	struct filter filter;
	size_t slots[AUTOMATON_GROUPS] = { 0 }, used;
	/* With few of them the filter may look at every second byte. */
	size_t lists_used = random_below(&seed, 4) ? random_below(&seed, 3) + 1 : LISTS;

	for (size_t i = 0; i < lists_used; i++) {
		make_list(&lists[i], i);
		members[i] = (struct automaton_member){ lists[i].automaton, i, NULL, 0 };
	}
	used = automaton_pack(groups, AUTOMATON_GROUPS, members, lists_used);
	automaton_filter(&filter, members, lists_used);
	count.groups += used;
	for (size_t i = 0; i < lists_used; i++)
		if (members[i].group >= 0)
			lists[i].slot = slots[members[i].group]++;
	for (int i = 0; i < TEXTS; i++)
		compare_text(groups, used, &filter, members, lists, lists_used);
	for (size_t i = 0; i < lists_used; i++)
		release(&lists[i]);
}

TEST(agrees_with_pcre2_and_fnmatch)
{
	const char *millions = getenv("XDP_ICP_AUTOMATA"), *given = getenv("XDP_ICP_SEED");
	unsigned long long wanted = millions ? strtoull(millions, NULL, 10) * 1000000 : 200000;
	unsigned long long next = 1000000;

	seed = 0x9e3779b97f4a7c15ULL * (given ? strtoull(given, NULL, 10) : 1);
	found = pcre2_match_data_create(1, NULL);
	limits = pcre2_match_context_create(NULL);
	pcre2_set_match_limit(limits, 20000);
	pcre2_set_depth_limit(limits, 5000);
	while (count.comparisons < wanted) {
		compare_lists();
		if (millions && count.comparisons >= next) {
			fprintf(stderr, "# %llu M comparisons\n", count.comparisons / 1000000);
			next += 10000000;
		}
	}
	fprintf(stderr,
		"# %llu comparisons, %llu matches, %llu given up by PCRE2, %llu lists, %llu of "
		"them "
		"backward, in %llu groups; %llu refused; %llu and %llu matches told by filters\n",
		count.comparisons, count.hits, count.given_up, count.lists, count.backward,
		count.groups, count.refused, count.spared_hits[0], count.spared_hits[1]);
	assert_true(count.hits > count.comparisons / 20);
	assert_true(count.backward > count.lists / 40);
	assert_true(count.spared_hits[0] > 100);
	assert_true(count.spared_hits[1] > 20);
	pcre2_match_data_free(found);
	pcre2_match_context_free(limits);
}
