// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Why the longest match alone gives the verdict:
 *
 * A policy matches a text if the text begins with a member of its set; the longest such member gives
 * its verdict. A policy with `not` matches if the text begins with none of its members. Let p be the
 * longest text that a URL begins with, of the members of all sets and the empty text. Every member
 * that the URL begins with is a prefix of p (p included), and every prefix of p is one of the URL.
 * So each policy gives the URL the verdict that it gives p, and p's entry is the answer of the
 * first policy that matches p. The empty text stands for the URLs that begin with no member at all;
 * if a policy has `not`, it may have an entry.
 *
 * With the texts sorted, the texts that are prefixes of the current one are a path from the empty
 * text. On the way along it,
 *
 *	- the first policy without `not` that matches is only replaced by an earlier one, and its
 *	  member by a longer one of the same policy;
 *	- a policy with `not` matches until one of its members is on the path, and never after it.
 *
 * Answers are numbered in the order of ranks, so the smaller of the two answers comes first.
 *
 * If the least answer of all texts counts, or the union of sets, the path decides as well: every
 * text that the reading begins with is on it.
 *
 * An entry with the same answer as the text before it on the path is omitted: the longest match of a
 * URL is then a text with the same answer.
 */
#include <string.h>

#include "chain/flatten.h"
#include "lib/byteset.h"

/* A text on the path. */
struct place {
	struct prefix_entry text; /* with the answer of the first policy that matches, or none */
	size_t first, end;	  /* its entries, of all policies */
	uint16_t match;	   /* answer of the first policy without `not` that matches, or none */
	size_t complement; /* index of the first policy with `not` that matches */
};

struct path {
	const struct flatten_answers *answers;
	const struct prefix_entry *entries;
	struct place places[PREFIX_MAX + 1]; /* each text is longer than the one before */
	size_t depth;
	uint16_t members[ANSWERS_MAX]; /* on the path, of the policy with `not` of this answer */
};

static bool begins_with(const struct prefix_entry *entry, const struct prefix_entry *prefix)
{
	return prefix->length <= entry->length &&
	       memcmp(entry->text, prefix->text, prefix->length) == 0;
}

static bool is_negated(const struct path *path, const struct prefix_entry *entry)
{
	return path->answers->rule == FLATTEN_LONGEST && path->answers->negated[entry->answer - 1];
}

static __u32 rank_of(const struct path *path, uint16_t answer)
{
	return path->answers->answers[answer - 1].rank;
}

static uint16_t first_answer(uint16_t a, uint16_t b)
{
	if (!a || !b)
		return a ? a : b;
	return a < b ? a : b;
}

/*
 * Let an entry of the last text count. Of a policy's members the longest counts, which comes last; or
 * the first in its list, which has the least answer.
 */
static void add_entry(struct path *path, struct place *place, const struct prefix_entry *entry)
{
	if (path->answers->rule == FLATTEN_FIRST)
		place->match = first_answer(place->match, entry->answer);
	else if (path->answers->rule == FLATTEN_ALL)
		place->match |= entry->answer;
	else if (is_negated(path, entry))
		path->members[entry->answer - 1]++;
	else if (!place->match || rank_of(path, entry->answer) <= rank_of(path, place->match))
		place->match = entry->answer;
}

/* Leave the last text of the path. */
static void step_back(struct path *path)
{
	const struct place *place = &path->places[--path->depth];

	for (size_t i = place->first; i < place->end; i++)
		if (is_negated(path, &path->entries[i]))
			path->members[path->entries[i].answer - 1]--;
}

/* Move on to the first policy with `not` that matches here. Returns its answer, or none. */
static uint16_t find_complement(const struct path *path, struct place *place)
{
	const struct flatten_answers *answers = path->answers;

	for (; place->complement < answers->complement_count; place->complement++) {
		uint16_t answer = answers->complements[place->complement];

		if (!path->members[answer - 1])
			return answer;
	}
	return PREFIX_NO_ANSWER;
}

/* Append a text with the entries from `first` up to `end` to the path. Returns its answer. */
static uint16_t step_to(struct path *path, struct prefix_entry text, size_t first, size_t end)
{
	struct place *place = &path->places[path->depth];

	*place = (struct place){ .text = text, .first = first, .end = end };
	if (path->depth++) {
		place->complement = place[-1].complement;
		place->match = place[-1].match;
	}
	for (size_t i = first; i < end; i++)
		add_entry(path, place, &path->entries[i]);
	place->text.answer = first_answer(place->match, find_complement(path, place));
	return place->text.answer;
}

static bool is_same_text(const struct prefix_entry *a, const struct prefix_entry *b)
{
	return a->length == b->length && begins_with(a, b);
}

size_t flatten(struct prefix_entry *flat, const struct prefix_entry *entries, size_t count,
	       const struct flatten_answers *answers)
{
	struct path path = { .answers = answers, .entries = entries };
	struct prefix_entry text = { .text = "" };
	size_t kept = 0;

	for (size_t end = 0;; text = entries[end]) {
		uint16_t above = PREFIX_NO_ANSWER;
		size_t first = end;

		while (path.depth && !begins_with(&text, &path.places[path.depth - 1].text))
			step_back(&path);
		if (path.depth)
			above = path.places[path.depth - 1].text.answer;
		while (end < count && is_same_text(&text, &entries[end]))
			end++;
		text.answer = step_to(&path, text, first, end);
		if (text.answer != above)
			flat[kept++] = text;
		if (end == count)
			return kept;
	}
}
