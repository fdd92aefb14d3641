// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The URL contains one of `texts`. Of those that it contains, the first in the list gives the
 * verdict; texts in the policy precede those in its file.
 *
 * In the kernel a short list is an automaton, as far as the filter spares walks of it. A long one is
 * looked up by its grams (include/grams.h), which for texts of fewer than GRAM_MIN bytes, and for
 * `not`, cannot be done.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "grams.h"
#include "policy/kinds.h"
#include "lib/ahocorasick.h"
#include "policy/patterns.h"
#include "policy/url.h"

/* More texts have an automaton only if they cannot be looked up by their grams. */
#define AUTOMATON_TEXTS 8

struct substring {
	struct pattern_automaton automaton;
	/* Without one: */
	struct ahocorasick *search;
	struct patterns texts;
	bool has_grams; /* each text has one */
};

static int add_text(void *context, const struct text_list *list, const struct text_entry *entry,
		    struct error *error)
{
	if (url_text_check(list, entry, error))
		return -1;
	if (patterns_add(context, entry->text, entry->length, entry->verdict))
		return error_set(error, "out of memory");
	return 0;
}

/* Returns 0, or -1: out of memory. */
static int make_search(struct substring *state)
{
	const struct automaton_pattern *list = patterns_list(&state->texts);
	size_t count = state->texts.count;
	const char **starts = calloc(count + 1, sizeof(*starts));
	size_t *lengths = calloc(count + 1, sizeof(*lengths));

	for (size_t i = 0; starts && lengths && i < count; i++) {
		starts[i] = list[i].text;
		lengths[i] = list[i].length;
	}
	if (starts && lengths)
		state->search = ahocorasick_new(starts, lengths, count);
	free(starts);
	free(lengths);
	return state->search ? 0 : -1;
}

static void release(struct substring *state)
{
	pattern_automaton_free(&state->automaton);
	ahocorasick_free(state->search);
	patterns_free(&state->texts);
	free(state);
}

/* Make the automaton, if there is to be one. */
static void make_automaton(struct substring *state, const struct policy *policy)
{
	struct pattern_automaton *made = &state->automaton;
	struct patterns *texts = &state->texts;

	state->has_grams = !policy->negate;
	for (size_t i = 0; i < texts->count; i++)
		state->has_grams = state->has_grams && texts->list[i].length >= GRAM_MIN;
	if (texts->count <= AUTOMATON_TEXTS || !state->has_grams)
		pattern_automaton_compile(made, AUTOMATON_SUBSTRING, texts, policy);
	if (made->automaton && state->has_grams && !automaton_is_spared(made->automaton))
		pattern_automaton_free(made);
	if (!made->automaton)
		error_prefix(&made->reason,
			     "as texts of less than %u bytes or with `not`, it needs an "
			     "automaton, which ",
			     GRAM_MIN);
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct text_list list = { spec, "texts", "text", policy };
	struct substring *state = calloc(1, sizeof(*state));
	int result = state ? text_list_read(&list, add_text, &state->texts, error)
			   : error_set(error, "out of memory");

	if (result == 0)
		make_automaton(state, policy);
	if (result == 0 && !state->automaton.automaton && make_search(state))
		result = error_set(error, "%s: policy '%s': too many texts for the memory",
				   spec->where, spec->name);
	if (state && state->automaton.automaton)
		patterns_free(&state->texts);
	if (result && state)
		release(state);
	if (result == 0)
		policy->state = state;
	return result;
}

static void destroy(struct policy *policy)
{
	release(policy->state);
}

static struct policy_match match(const struct policy *policy, const struct query *query)
{
	const struct substring *state = policy->state;
	size_t first;

	if (state->automaton.automaton)
		return pattern_automaton_match(&state->automaton, policy, query);
	first = ahocorasick_first(state->search, query->url, query->length);
	if (first == AHOCORASICK_NONE)
		return (struct policy_match){ .verdict = ICP_OP_INVALID };
	return (struct policy_match){ .verdict = state->texts.list[first].answer };
}

static const struct patterns *inside(const struct policy *policy)
{
	const struct substring *state = policy->state;

	return state->has_grams && !state->automaton.automaton ? &state->texts : NULL;
}

static const struct automaton *automaton(const struct policy *policy, const char **reason)
{
	const struct substring *state = policy->state;

	return pattern_automaton_get(&state->automaton, reason);
}

static const struct policy_setting settings[] = {
	{ "texts", "texts that URLs contain", .list = true },
	{ "text", "a single one of them" },
	{ "file", "a file of texts, one a line, optionally with a TAB and its own verdict" },
	{ NULL },
};

const struct policy_kind policy_substring = {
	.name = "substring",
	.help = "the URL contains one of 'texts'; the first in the list gives the verdict",
	.settings = settings,
	.create = create,
	.destroy = destroy,
	.match = match,
	.inside = inside,
	.automaton = automaton,
};
