// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The whole URL matches one of `patterns`, which are tried in their order: fnmatch(3) without flags,
 * so `*` and `?` match slashes and leading dots too, and a backslash escapes the next character. It
 * is called only for what has no automaton (patterns.h).
 *
 * glibc's fnmatch() never backtracks beyond the last `*`: for any URL its time is bounded by the
 * product of the lengths of pattern and URL.
 */
#include <fnmatch.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "policy/kinds.h"
#include "policy/patterns.h"
#include "policy/url.h"

struct glob {
	struct pattern_automaton automaton;
	/* Without one: */
	struct patterns patterns;
	locale_t bytes; /* "C": URLs are bytes, whatever a plugin's setlocale() chose */
};

/* Does the last backslash escape nothing? fnmatch() never matches such a pattern. */
static bool ends_in_escape(const char *text, size_t length)
{
	size_t count = 0;

	while (count < length && text[length - 1 - count] == '\\')
		count++;
	return count % 2;
}

static int add_pattern(void *context, const struct text_list *list, const struct text_entry *entry,
		       struct error *error)
{
	struct glob *glob = context;

	if (url_text_check(list, entry, error))
		return -1;
	if (entry->length == 0)
		return text_list_error(list, entry->tag, error,
				       "an empty pattern matches no URL; leave it out");
	if (ends_in_escape(entry->text, entry->length))
		return text_list_error(list, entry->tag, error,
				       "'%.*s' ends in a backslash that escapes nothing; write "
				       "two to match one",
				       TEXT_SHOWN, entry->text);
	if (patterns_add(&glob->patterns, entry->text, entry->length, entry->verdict))
		return error_set(error, "out of memory");
	return 0;
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct text_list list = { spec, "patterns", "pattern", policy };
	struct glob *glob = calloc(1, sizeof(*glob));

	policy->state = glob;
	if (!glob)
		return error_set(error, "out of memory");
	glob->bytes = newlocale(LC_ALL_MASK, "C", NULL);
	if (!glob->bytes)
		return error_set(error, "out of memory");
	if (text_list_read(&list, add_pattern, glob, error))
		return -1;
	pattern_automaton_compile(&glob->automaton, AUTOMATON_GLOB, &glob->patterns, policy);
	if (glob->automaton.automaton)
		patterns_free(&glob->patterns);
	return 0;
}

static void destroy(struct policy *policy)
{
	struct glob *glob = policy->state;

	pattern_automaton_free(&glob->automaton);
	patterns_free(&glob->patterns);
	if (glob->bytes)
		freelocale(glob->bytes);
	free(glob);
}

static struct policy_match match(const struct policy *policy, const struct query *query)
{
	const struct glob *glob = policy->state;
	struct policy_match match = { .verdict = ICP_OP_INVALID };
	locale_t old;

	if (glob->automaton.automaton)
		return pattern_automaton_match(&glob->automaton, policy, query);
	old = uselocale(glob->bytes);
	for (size_t i = 0; i < glob->patterns.count && match.verdict == ICP_OP_INVALID; i++)
		if (fnmatch(glob->patterns.list[i].text, query->url, 0) == 0)
			match.verdict = glob->patterns.list[i].answer;
	uselocale(old);
	return match;
}

static const struct automaton *automaton(const struct policy *policy, const char **reason)
{
	const struct glob *glob = policy->state;

	return pattern_automaton_get(&glob->automaton, reason);
}

static const struct policy_setting settings[] = {
	{ "patterns", "patterns of whole URLs, see fnmatch(3); * matches slashes too",
	  .list = true },
	{ "pattern", "a single one of them" },
	{ "file", "a file of patterns, one a line, optionally with a TAB and its own verdict" },
	{ NULL },
};

const struct policy_kind policy_glob = {
	.name = "glob",
	.help = "the whole URL matches one of 'patterns'; the first in the list gives the verdict",
	.basis = POLICY_BASIS_URL,
	.settings = settings,
	.create = create,
	.destroy = destroy,
	.match = match,
	.automaton = automaton,
};
