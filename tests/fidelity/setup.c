// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "setup.h"

void setup_begin(struct setup *setup)
{
	memset(setup, 0, sizeof(*setup));
	setup->default_verdict = 3;
	setup->watched = true;
}

void setup_end(struct setup *setup)
{
	for (size_t i = 0; i < setup->policy_count; i++)
		free(setup->policies[i].entries);
	setup->policy_count = 0;
}

/* The order of bytes without signs, as memcmp has it; the shorter before the longer. */
static int compare_names(struct text a, struct text b)
{
	int order = memcmp(a.at, b.at, a.length < b.length ? a.length : b.length);

	return order ? order : (a.length > b.length) - (a.length < b.length);
}

static bool remove_policy(struct setup *setup, struct text name)
{
	for (size_t i = 0; i < setup->policy_count; i++) {
		if (!text_equal(setup->policies[i].name, name))
			continue;
		free(setup->policies[i].entries);
		memmove(&setup->policies[i], &setup->policies[i + 1],
			(--setup->policy_count - i) * sizeof(setup->policies[0]));
		return true;
	}
	return false;
}

static bool add_policy(struct setup *setup, const struct step *step)
{
	size_t place = 0;

	remove_policy(setup, step->name);
	if (setup->policy_count == POLICIES_MAX)
		return false;
	while (place < setup->policy_count &&
	       compare_names(setup->policies[place].name, step->name) < 0)
		place++;
	memmove(&setup->policies[place + 1], &setup->policies[place],
		(setup->policy_count++ - place) * sizeof(setup->policies[0]));
	setup->policies[place] = (struct policy_setup){
		.name = step->name,
		.kind = step->policy,
		.verdict = step->verdict,
		.cost = step->cost,
		.negate = step->on,
	};
	return true;
}

static bool add_entry(struct setup *setup, const struct step *step)
{
	struct policy_setup *policy = NULL;
	size_t place;

	for (size_t i = 0; i < setup->policy_count; i++)
		if (text_equal(setup->policies[i].name, step->name))
			policy = &setup->policies[i];
	if (!policy)
		return false;
	if (policy->count == policy->room) {
		policy->room = 2 * policy->room + 4;
		policy->entries = reallocarray(policy->entries, policy->room, sizeof(struct entry));
		if (!policy->entries)
			abort();
	}
	place = policy->count++;
	for (; place && step->kind == STEP_TEXT && policy->entries[place - 1].in_file; place--)
		policy->entries[place] = policy->entries[place - 1];
	policy->entries[place] = (struct entry){
		.text = step->text,
		.verdict = step->kind == STEP_LINE ? step->verdict : VERDICT_NONE,
		.in_file = step->kind == STEP_LINE,
	};
	return true;
}

static void remove_rule(struct setup *setup, struct text text)
{
	for (size_t i = 0; i < setup->rule_count; i++)
		if (text_equal(setup->rules[i].text, text)) {
			setup->rules[i] = setup->rules[--setup->rule_count];
			return;
		}
}

bool setup_take(struct setup *setup, const struct step *step)
{
	switch (step->kind) {
	case STEP_DEFAULT:
		setup->default_verdict = step->verdict;
		return true;
	case STEP_POLICY:
		return add_policy(setup, step);
	case STEP_TEXT:
	case STEP_LINE:
		return add_entry(setup, step);
	case STEP_REMOVE:
		return remove_policy(setup, step->name);
	case STEP_FLAG:
		setup->flags[(step->name.at[0] - 'a') % FLAGS_MAX] = step->on;
		return false;
	case STEP_WATCH:
		setup->watched = step->on;
		return false;
	case STEP_RULE:
		remove_rule(setup, step->text);
		if (setup->rule_count < RULES_MAX)
			setup->rules[setup->rule_count++] =
				(struct rule_setup){ step->text, step->verdict };
		return false;
	case STEP_UNRULE:
		remove_rule(setup, step->text);
		return false;
	case STEP_DRAIN:
		setup->drain = step->verdict;
		return false;
	default:
		return false;
	}
}
