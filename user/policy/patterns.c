// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "lib/vec.h"
#include "policy/patterns.h"

int patterns_add(struct patterns *patterns, const char *text, size_t length,
		 enum icp_opcode verdict)
{
	struct automaton_pattern *added;

	if (patterns->allocated - patterns->used < length + 1) {
		size_t wanted = 2 * patterns->allocated + length + 1;
		char *bytes = realloc(patterns->bytes, wanted);

		if (!bytes)
			return -1;
		patterns->bytes = bytes;
		patterns->allocated = wanted;
	}
	added = vec_append(patterns->list, patterns->count);
	if (!added)
		return -1;
	*added = (struct automaton_pattern){ .length = length, .answer = verdict };
	memcpy(patterns->bytes + patterns->used, text, length);
	patterns->bytes[patterns->used + length] = '\0';
	patterns->used += length + 1;
	return 0;
}

const struct automaton_pattern *patterns_list(struct patterns *patterns)
{
	const char *text = patterns->bytes;

	for (size_t i = 0; i < patterns->count; i++) {
		patterns->list[i].text = text;
		text += patterns->list[i].length + 1;
	}
	return patterns->list;
}

void patterns_free(struct patterns *patterns)
{
	free(patterns->list);
	free(patterns->bytes);
	*patterns = (struct patterns){ 0 };
}

void pattern_automaton_compile(struct pattern_automaton *made, enum automaton_syntax syntax,
			       struct patterns *patterns, const struct policy *policy)
{
	const struct automaton_pattern *list = patterns_list(patterns);

	/* With `not` the verdicts of the texts do not matter. */
	for (size_t i = 0; i < patterns->count && policy->negate; i++)
		patterns->list[i].answer = AUTOMATON_NO_ANSWER;
	made->automaton = automaton_compile(syntax, list, patterns->count,
					    policy->negate ? policy->verdict : AUTOMATON_NO_ANSWER,
					    &made->reason);
	for (size_t i = 0; i < patterns->count && policy->negate; i++)
		patterns->list[i].answer = policy->verdict;
	if (!made->automaton)
		return;
	made->group = automaton_single(made->automaton);
	if (made->group)
		return;
	error_set(&made->reason, "out of memory");
	pattern_automaton_free(made);
}

struct policy_match pattern_automaton_match(const struct pattern_automaton *made,
					    const struct policy *policy, const struct query *query)
{
	enum icp_opcode found = automaton_find(made->group, query->url, query->length);

	/* The automaton knows of `not`, which the caller will apply: any verdict is a match. */
	if (policy->negate)
		found = found == ICP_OP_INVALID ? policy->verdict : ICP_OP_INVALID;
	return (struct policy_match){ .verdict = found };
}

const struct automaton *pattern_automaton_get(const struct pattern_automaton *made,
					      const char **reason)
{
	*reason = made->automaton ? NULL : made->reason.text;
	return made->automaton;
}

void pattern_automaton_free(struct pattern_automaton *made)
{
	automaton_free(made->automaton);
	free(made->group);
	made->automaton = NULL;
	made->group = NULL;
}
