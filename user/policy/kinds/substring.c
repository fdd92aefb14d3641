// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The URL contains one of `texts`. Of those that it contains, the first in the list gives the
 * verdict; texts in the policy precede those in its file.
 *
 * In the kernel a short list is an automaton, if it has `not` or if the filter avoids most walks of
 * it. A longer one is looked up by its grams (include/grams.h). Texts of fewer than GRAM_MIN bytes
 * have no gram: they become a separate automaton, or all texts do if the verdict depends on all of
 * them together.
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
	struct patterns texts;
	struct ahocorasick *search;	    /* for all of them; NULL: the automaton has all */
	struct pattern_automaton automaton; /* of all, or of those without a gram */
	struct patterns parted;		    /* those with one, if others have none */
	const struct patterns *inside;	    /* what is looked up by its grams; NULL: nothing */
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

static bool has_gram(const struct automaton_pattern *text)
{
	return text->length >= GRAM_MIN;
}

/* Does any text that is found give the policy's verdict, whatever others are there? */
static bool any_decides(const struct policy *policy, const struct patterns *texts)
{
	for (size_t i = 1; i < texts->count; i++)
		if (texts->list[i].answer != texts->list[0].answer)
			return false;
	return !policy->negate;
}

/*
 * Make an automaton of the texts without a gram, and a list of the others. Returns 0, or -1: out of
 * memory.
 */
static int part(struct substring *state, const struct policy *policy)
{
	const struct automaton_pattern *list = patterns_list(&state->texts);
	struct patterns without = { 0 };
	int result = 0;

	for (size_t i = 0; i < state->texts.count && !result; i++)
		result = patterns_add(has_gram(&list[i]) ? &state->parted : &without, list[i].text,
				      list[i].length, list[i].answer);
	if (!result)
		pattern_automaton_compile(&state->automaton, AUTOMATON_SUBSTRING, &without, policy);
	if (state->automaton.automaton) {
		patterns_list(&state->parted);
		state->inside = &state->parted;
	} else {
		error_prefix(&state->automaton.reason,
			     "its texts of fewer than %u bytes need an automaton, which ",
			     GRAM_MIN);
	}
	patterns_free(&without);
	return result;
}

/* Give the texts the form in which the kernel evaluates them. Returns 0, or -1: out of memory. */
static int make_form(struct substring *state, const struct policy *policy)
{
	struct pattern_automaton *made = &state->automaton;
	struct patterns *texts = &state->texts;
	size_t grams = 0;

	for (size_t i = 0; i < texts->count; i++)
		grams += has_gram(&texts->list[i]);
	if (texts->count <= AUTOMATON_TEXTS || grams < texts->count)
		pattern_automaton_compile(made, AUTOMATON_SUBSTRING, texts, policy);
	if (made->automaton &&
	    (grams < texts->count || policy->negate || automaton_is_spared(made->automaton))) {
		patterns_free(texts);
		return 0;
	}
	pattern_automaton_free(made);
	if (make_search(state))
		return -1;
	if (grams == texts->count)
		state->inside = texts;
	else if (grams && any_decides(policy, texts))
		return part(state, policy);
	else if (grams)
		error_prefix(&made->reason,
			     "as it has texts of fewer than %u bytes, and `not` or several "
			     "verdicts, it needs an automaton of all, which ",
			     GRAM_MIN);
	return 0;
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct text_list list = { spec, "texts", "text", policy };
	struct substring *state = calloc(1, sizeof(*state));

	policy->state = state;
	if (!state)
		return error_set(error, "out of memory");
	if (text_list_read(&list, add_text, &state->texts, error))
		return -1;
	if (make_form(state, policy))
		return error_set(error, "%s: policy '%s': too many texts for the memory",
				 spec->where, spec->name);
	return 0;
}

static void destroy(struct policy *policy)
{
	struct substring *state = policy->state;

	pattern_automaton_free(&state->automaton);
	ahocorasick_free(state->search);
	patterns_free(&state->parted);
	patterns_free(&state->texts);
	free(state);
}

static struct policy_match match(const struct policy *policy, const struct query *query)
{
	const struct substring *state = policy->state;
	size_t first;

	if (!state->search)
		return pattern_automaton_match(&state->automaton, policy, query);
	first = ahocorasick_first(state->search, query->url, query->length);
	if (first == AHOCORASICK_NONE)
		return (struct policy_match){ .verdict = ICP_OP_INVALID };
	return (struct policy_match){ .verdict = state->texts.list[first].answer };
}

static const struct patterns *inside(const struct policy *policy)
{
	return ((const struct substring *)policy->state)->inside;
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
