// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The URL contains one of `texts`. Of those that it contains, the first in the list gives the
 * verdict; texts in the policy precede those in its file.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/kinds.h"
#include "lib/ahocorasick.h"
#include "policy/patterns.h"
#include "policy/url.h"

struct substring {
	struct pattern_automaton automaton;
	/* Without one: */
	struct ahocorasick *search;
	uint8_t *verdicts; /* of the texts, in the order of the list */
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
static int make_search(struct substring *state, struct patterns *texts)
{
	const struct automaton_pattern *list = patterns_list(texts);
	const char **starts = calloc(texts->count + 1, sizeof(*starts));
	size_t *lengths = calloc(texts->count + 1, sizeof(*lengths));

	state->verdicts = malloc(texts->count + 1);
	for (size_t i = 0; starts && lengths && state->verdicts && i < texts->count; i++) {
		starts[i] = list[i].text;
		lengths[i] = list[i].length;
		state->verdicts[i] = list[i].answer;
	}
	if (starts && lengths && state->verdicts)
		state->search = ahocorasick_new(starts, lengths, texts->count);
	free(starts);
	free(lengths);
	return state->search ? 0 : -1;
}

static void release(struct substring *state)
{
	pattern_automaton_free(&state->automaton);
	ahocorasick_free(state->search);
	free(state->verdicts);
	free(state);
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct text_list list = { spec, "texts", "text", policy };
	struct substring *state = calloc(1, sizeof(*state));
	struct patterns texts = { 0 };
	int result = state ? text_list_read(&list, add_text, &texts, error)
			   : error_set(error, "out of memory");

	if (result == 0)
		pattern_automaton_compile(&state->automaton, AUTOMATON_SUBSTRING, &texts, policy);
	if (result == 0 && !state->automaton.automaton && make_search(state, &texts))
		result = error_set(error, "%s: policy '%s': too many texts for the memory",
				   spec->where, spec->name);
	patterns_free(&texts);
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
	return (struct policy_match){ .verdict = state->verdicts[first] };
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
	.automaton = automaton,
};
