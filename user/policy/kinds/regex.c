// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The URL contains a match of one of `patterns`; the first in the list gives the verdict. UTF-8 mode
 * is disabled, since URLs may contain any bytes. PCRE2 checks the patterns, and matches them if
 * they have no automaton, because they are not regular, or too large.
 */
#include <stdlib.h>

#include "policy/kinds.h"
#include "policy/list.h"
#include "policy/patterns.h"
#include "policy/pcre.h"

struct regex {
	struct pattern_automaton automaton;
	struct pcre *pcre; /* without an automaton */
};

static int add_pattern(void *context, const struct text_list *list, const struct text_entry *entry,
		       struct error *error)
{
	struct error reason;
	size_t offset;

	if (pcre_check(entry->text, entry->length, &offset, &reason))
		return text_list_error(list, entry->tag, error,
				       "pattern '%.*s' is wrong at offset %zu: %s; see "
				       "pcre2pattern(3)",
				       TEXT_SHOWN, entry->text, offset, reason.text);
	if (patterns_add(context, entry->text, entry->length, entry->verdict))
		return error_set(error, "out of memory");
	return 0;
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct text_list list = { spec, "patterns", "pattern", policy };
	struct regex *regex = calloc(1, sizeof(*regex));
	struct patterns patterns = { 0 };
	int result;

	policy->state = regex;
	if (!regex)
		return error_set(error, "out of memory");
	result = text_list_read(&list, add_pattern, &patterns, error);
	if (result == 0) {
		pattern_automaton_compile(&regex->automaton, AUTOMATON_REGEX, &patterns, policy);
		if (!regex->automaton.automaton)
			regex->pcre = pcre_new(patterns_list(&patterns), patterns.count, error);
		if (!regex->automaton.automaton && !regex->pcre)
			result = error_prefix(error, "%s: policy '%s': ", spec->where, spec->name);
	}
	patterns_free(&patterns);
	return result;
}

static void destroy(struct policy *policy)
{
	struct regex *regex = policy->state;

	pattern_automaton_free(&regex->automaton);
	pcre_free(regex->pcre);
	free(regex);
}

static struct policy_match match(const struct policy *policy, const struct query *query)
{
	const struct regex *regex = policy->state;

	if (regex->automaton.automaton)
		return pattern_automaton_match(&regex->automaton, policy, query);
	return pcre_match(regex->pcre, query->url, query->length);
}

static const struct automaton *automaton(const struct policy *policy, const char **reason)
{
	const struct regex *regex = policy->state;

	return pattern_automaton_get(&regex->automaton, reason);
}

static const struct policy_setting settings[] = {
	{ "patterns", "regular expressions, see pcre2pattern(3)", .list = true },
	{ "pattern", "a single one of them" },
	{ "file", "a file of patterns, one a line, optionally with a TAB and its own verdict" },
	{ NULL },
};

const struct policy_kind policy_regex = {
	.name = "regex",
	.help = "one of 'patterns' is found in the URL; the first in the list gives the verdict",
	.settings = settings,
	.create = create,
	.destroy = destroy,
	.match = match,
	.automaton = automaton,
};
