// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>

#include "chain/compile_patterns.h"

#define MEMBERS_MAX (AUTOMATON_GROUPS * AUTOMATON_SLOTS)

int compile_patterns_add(struct compile_patterns *patterns, struct compiled *compiled,
			 const struct policy *policy, __u32 rank)
{
	const char *reason;
	const struct automaton *automaton = policy->kind->automaton(policy, &reason);
	uint16_t *numbers;

	if (!automaton) /* its texts are looked up in another way */
		return 0;
	if (patterns->count == MEMBERS_MAX)
		return error_set(&compiled->horizon_reason,
				 "it is one of more than %u policies on patterns", MEMBERS_MAX);
	numbers = patterns->numbers[patterns->count];
	for (uint32_t i = 0; i < automaton->sinks; i++) {
		numbers[i] = AUTOMATON_NO_ANSWER;
		if (automaton->answers[i] == AUTOMATON_NO_ANSWER)
			continue;
		numbers[i] = compiled_answer(compiled, rank, automaton->answers[i], policy->cost);
		if (numbers[i] == PREFIX_NO_ANSWER)
			return -1;
	}
	patterns->member[patterns->count++] = (struct automaton_member){
		.automaton = automaton,
		.rank = rank,
		.answers = numbers,
	};
	return 0;
}

int compile_patterns_finish(struct compile_patterns *patterns, struct compiled *compiled)
{
	if (!patterns->count)
		return 0;
	compiled->groups = calloc(AUTOMATON_GROUPS, sizeof(*compiled->groups));
	if (!compiled->groups)
		return -1;
	compiled->group_count = automaton_pack(compiled->groups, AUTOMATON_GROUPS, patterns->member,
					       patterns->count);
	automaton_filter(&compiled->filter, patterns->member, patterns->count);
	for (size_t i = 0; i < patterns->count; i++) {
		if (patterns->member[i].group >= 0)
			continue;
		compiled->horizon = patterns->member[i].rank;
		error_set(&compiled->horizon_reason,
			  "the automata of the policies before it leave no room for its %u states",
			  patterns->member[i].automaton->states);
		break;
	}
	return 0;
}
