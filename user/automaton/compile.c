// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How patterns become an automaton, and why it is the right one.
 *
 * A pattern without back references, look-around and the like describes a regular language L: the
 * URLs that it matches. Whether a match is greedy or lazy, and which of several alternatives is taken,
 * changes what a match consists of, but not whether there is one. So a pattern is no more than a
 * set of URLs to us, and such a set is decided by a finite automaton (Kleene, 1956), in one step a
 * byte.
 *
 * 1. Each pattern is parsed to a tree (regex.c, glob.c). The parser refuses what it does not know
 * for certain, and PCRE2 evaluates that policy.
 *
 * 2. The trees of all patterns together become one nondeterministic automaton (nfa.c), by Thompson's
 *    construction (1968): for each node a few states, whose number grows with that of the pattern,
 *    repetitions written out.
 *
 * 3. The subset construction (subset.c) makes it deterministic. That may take exponentially many
 *    states: (a|b)*a(a|b){12} has to remember for each of the last 13 bytes whether it was an a.
 * States, memory and work are bounded, and a list that exceeds the bounds is refused.
 *
 * 4. Minimisation (minimise.c). There is a single smallest automaton (Myhill and Nerode, 1958), so
 *    the result does not depend on how the patterns were written.
 *
 * A list has not one answer, but that of its first pattern that matches. So instead of accepting, a
 * state knows the first pattern found so far, and reading on can only lead to an earlier one. All
 * that matters are answers: neighbours in the list that have the same one count as one pattern, here
 * a level, and the last ones that have the answer `otherwise` count as none. At the end of the URL,
 * which is read as a NUL, each state leads to a sink, the state of a final answer. As the minimal
 * automaton has a single state for everything that can only lead to the same answer, a sink is also
 * reached within the URL as soon as nothing can change the answer any more: when the first pattern
 * has been found, or no pattern can match any more. That is where the walk ends early.
 *
 * Patterns are found anywhere: at each byte a match may begin. An anchor is an assertion that is true
 * at the beginning, or the end, only. A glob is a pattern with both.
 *
 * The mirrored language is regular too, and its automaton reads from the end of the URL to the
 * beginning: sequences are taken in the reverse order, the anchors change places, and a word boundary
 * is one from both sides. It is another automaton and may be much smaller or larger, and it ends
 * earlier if each pattern is anchored at the end. So that is the direction then, and the other one is
 * tried if the automaton would be too large.
 */
#include <stdlib.h>
#include <string.h>

#include "automaton/compile.h"
#include "automaton/dfa.h"
#include "automaton/heads.h"
#include "automaton/glob.h"
#include "automaton/regex.h"
#include "lib/vec.h"

struct list {
	struct tree tree;
	uint32_t *roots;			 /* of each level: a choice of its patterns */
	size_t count;				 /* levels */
	uint32_t *sinks;			 /* of each level's answer, then of no match */
	uint16_t answers[AUTOMATON_ANSWERS + 1]; /* of the sinks */
	uint32_t sink_count;
};

static uint32_t parse_text(struct tree *tree, const char *text, size_t length, struct error *error)
{
	uint32_t sequence = tree_add(tree, TREE_SEQUENCE, error);

	for (size_t i = 0; i < length && sequence; i++) {
		struct bytes set = { 0 };
		uint32_t item;

		bytes_add(&set, text[i]);
		item = tree_add_set(tree, &set, error);
		if (!item)
			return 0;
		tree_append(tree, sequence, item);
	}
	return sequence;
}

static uint32_t parse(enum automaton_syntax syntax, struct tree *tree,
		      const struct automaton_pattern *pattern, struct error *error)
{
	switch (syntax) {
	case AUTOMATON_REGEX:
		return regex_parse(tree, pattern->text, pattern->length, error);
	case AUTOMATON_GLOB:
		return glob_parse(tree, pattern->text, pattern->length, error);
	case AUTOMATON_SUBSTRING:
		return parse_text(tree, pattern->text, pattern->length, error);
	}
	return 0;
}

/* Set the sink of an answer, for the level behind the last. */
static int set_sink(struct list *list, uint16_t answer, struct error *error)
{
	uint32_t *sinks = vec_reserve(list->sinks, list->count, sizeof(*sinks));
	uint32_t sink = 0;

	if (!sinks)
		return error_set(error, "out of memory");
	list->sinks = sinks;
	while (sink < list->sink_count && list->answers[sink] != answer)
		sink++;
	if (sink == AUTOMATON_ANSWERS + 1)
		return error_set(error, "more than %u different answers", AUTOMATON_ANSWERS);
	if (sink == list->sink_count)
		list->answers[list->sink_count++] = answer;
	sinks[list->count] = sink;
	return 0;
}

/* The answer of the last level is this one. */
static bool is_last_answer(const struct list *list, uint16_t answer)
{
	return list->count && list->answers[list->sinks[list->count - 1]] == answer;
}

static int add_pattern(struct list *list, uint16_t answer, uint32_t root, struct error *error)
{
	uint32_t choice, *added;

	if (!is_last_answer(list, answer)) {
		choice = tree_add(&list->tree, TREE_CHOICE, error);
		if (!choice || set_sink(list, answer, error))
			return -1;
		added = vec_append(list->roots, list->count);
		if (!added)
			return error_set(error, "out of memory");
		*added = choice;
	}
	tree_append(&list->tree, list->roots[list->count - 1], root);
	return 0;
}

static int read_list(struct list *list, enum automaton_syntax syntax,
		     const struct automaton_pattern *patterns, size_t count, uint16_t otherwise,
		     struct error *error)
{
	list->answers[0] = AUTOMATON_NO_ANSWER;
	list->sink_count = 1;
	for (size_t i = 0; i < count; i++) {
		uint32_t root = parse(syntax, &list->tree, &patterns[i], error);

		if (!root)
			return count == 1 ? -1 : error_prefix(error, "pattern %zu: ", i + 1);
		if (add_pattern(list, patterns[i].answer, root, error))
			return -1;
	}
	if (is_last_answer(list, otherwise))
		list->count--;
	return set_sink(list, otherwise, error);
}

/* Is the end where walks should begin? */
static bool prefer_backward(const struct list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		bool tight = true;

		if (!tree_anchored(&list->tree, list->roots[i], TREE_END, &tight) || !tight)
			return false;
	}
	return list->count > 0;
}

static int make_dfa(struct dfa *dfa, uint8_t miss[256], const struct list *list, bool backward,
		    struct error *error)
{
	const struct dfa_levels levels = { list->count, list->sinks, list->sink_count };
	struct nfa nfa = { 0 };
	int result;

	*dfa = (struct dfa){ 0 };
	result = nfa_make(&nfa, &list->tree, list->roots, list->count, backward, error);
	if (result == 0)
		result = dfa_make(dfa, &nfa, &levels, error);
	if (result == 0 && !backward &&
	    list->answers[list->sinks[list->count]] == AUTOMATON_NO_ANSWER)
		heads_find(miss, &nfa);
	nfa_free(&nfa);
	if (result == 0 && dfa_minimise(dfa))
		result = error_set(error, "out of memory");
	if (result == 0 &&
	    (size_t)(dfa->states - dfa->sinks) * dfa->classes + dfa->sinks * AUTOMATON_SINK >
		    AUTOMATON_CELLS)
		result = error_set(error, "needs %u states of %u classes, more than %u KiB",
				   dfa->states, dfa->classes,
				   (unsigned int)(AUTOMATON_CELLS * sizeof(uint16_t) / 1024));
	if (result) {
		dfa_free(dfa);
		*dfa = (struct dfa){ 0 };
	}
	return result;
}

/* Takes ownership of the DFA's memory. */
static struct automaton *finish(const struct list *list, struct dfa *dfa, const uint8_t miss[256],
				bool backward)
{
	struct automaton *automaton = calloc(1, sizeof(*automaton));

	if (!automaton)
		return NULL;
	automaton->backward = backward;
	automaton->states = dfa->states;
	automaton->sinks = dfa->sinks;
	automaton->classes = dfa->classes;
	automaton->cells = (dfa->states - dfa->sinks) * dfa->classes;
	automaton->start = dfa->start;
	automaton->next = dfa->next;
	memcpy(automaton->answers, list->answers, sizeof(automaton->answers));
	memcpy(automaton->class, dfa->class, sizeof(automaton->class));
	memcpy(automaton->miss, miss, sizeof(automaton->miss));
	dfa->next = NULL;
	return automaton;
}

struct automaton *automaton_compile(enum automaton_syntax syntax,
				    const struct automaton_pattern *patterns, size_t count,
				    uint16_t otherwise, struct error *error)
{
	struct automaton *automaton = NULL;
	struct list list = { 0 };
	uint8_t miss[256] = { 0 };
	struct error again = { 0 };
	struct dfa dfa = { 0 };
	int result = read_list(&list, syntax, patterns, count, otherwise, error);

	if (result == 0) {
		bool backward = prefer_backward(&list);

		result = make_dfa(&dfa, miss, &list, backward, error);
		if (result) {
			backward = !backward;
			result = make_dfa(&dfa, miss, &list, backward, &again);
		}
		if (result == 0)
			automaton = finish(&list, &dfa, miss, backward);
		if (result == 0 && !automaton)
			error_write(error, "out of memory");
		dfa_free(&dfa);
	}
	pattern_tree_free(&list.tree);
	free(list.roots);
	free(list.sinks);
	return automaton;
}

bool automaton_is_spared(const struct automaton *automaton)
{
	for (size_t byte = 0; byte < sizeof(automaton->miss); byte++)
		if (automaton->miss[byte])
			return true;
	return false;
}

void automaton_free(struct automaton *automaton)
{
	if (!automaton)
		return;
	free(automaton->next);
	free(automaton);
}
