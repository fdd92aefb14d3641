// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/plural.h"
#include "policy/policy.h"
#include "icp/opcode.h"

const struct policy_setting policy_common_settings[] = {
	{ "kind", "the kind of the policy", .required = true },
	{ "verdict", "the verdict where the policy matches" },
	{ "cost", "the cost in the reply to queriers that ask for it (SRC_RTT), 0 to 65535" },
	{ "not", "true: the verdict is given where the policy does not match" },
	{ NULL },
};

static const struct policy_setting *find_setting(const struct policy_setting *settings,
						 const char *name)
{
	for (; settings->name; settings++)
		if (strcmp(settings->name, name) == 0)
			return settings;
	return NULL;
}

/* Append a name to a comma-separated list in a buffer of `size` bytes. */
static void append_name(char *list, size_t size, const char *name)
{
	size_t used = strlen(list);

	snprintf(list + used, size - used, "%s%s", used ? ", " : "", name);
}

static const struct policy_kind *find_kind(const struct policy_spec *spec, struct error *error)
{
	const struct spec_value *value;
	char names[512] = "";
	int found = policy_spec_text(spec, "kind", &value, error);

	if (found < 0)
		return NULL;
	for (size_t i = 0; policy_kinds[i]; i++) {
		if (found && strcmp(policy_kinds[i]->name, value->text) == 0)
			return policy_kinds[i];
		append_name(names, sizeof(names), policy_kinds[i]->name);
	}
	if (found)
		error_set(error, "%s: policy '%s': unknown kind '%s'; the kinds are %s",
			  value->where, spec->name, value->text, names);
	else
		error_set(error, "%s: policy '%s': 'kind' is missing; the kinds are %s",
			  spec->where, spec->name, names);
	return NULL;
}

static int check_settings(const struct policy_kind *kind, const struct policy_spec *spec,
			  struct error *error)
{
	for (size_t i = 0; i < spec->count; i++) {
		const struct spec_setting *setting = &spec->settings[i];
		const struct policy_setting *known =
			find_setting(policy_common_settings, setting->key);
		const struct spec_value *value;
		char names[512] = "";

		if (!known)
			known = find_setting(kind->settings, setting->key);
		if (known && known->replaced_by)
			return error_set(
				error,
				"%s: policy '%s': kind '%s' no longer takes '%s'; set '%s' (%s)",
				setting->values[0].where, spec->name, kind->name, setting->key,
				known->replaced_by,
				find_setting(kind->settings, known->replaced_by)->help);
		if (known && !known->list &&
		    policy_spec_text(spec, setting->key, &value, error) < 0)
			return -1;
		if (known)
			continue;
		for (const struct policy_setting *s = kind->settings; s->name; s++)
			if (!s->replaced_by)
				append_name(names, sizeof(names), s->name);
		for (const struct policy_setting *s = policy_common_settings; s->name; s++)
			append_name(names, sizeof(names), s->name);
		return error_set(
			error, "%s: policy '%s': kind '%s' does not take '%s'; it takes %s",
			setting->values[0].where, spec->name, kind->name, setting->key, names);
	}
	for (const struct policy_setting *s = kind->settings; s->name; s++)
		if (s->required && !policy_spec_find(spec, s->name))
			return error_set(error, "%s: policy '%s': '%s' is missing (%s)",
					 spec->where, spec->name, s->name, s->help);
	return 0;
}

/* Names appear in messages, in lists with one policy per line, and in the paths of resources. */
static int check_name(const struct policy_spec *spec, struct error *error)
{
	if (!*spec->name)
		return error_set(error, "%s: the name of a policy is empty; give it one",
				 spec->where);
	for (const char *c = spec->name; *c; c++)
		if (iscntrl((unsigned char)*c))
			return error_set(error,
					 "%s: the name of a policy has a control character; "
					 "leave it out",
					 spec->where);
	return 0;
}

static int fill_common(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	long cost = ICP_NO_COST;

	if (policy_spec_verdict(spec, "verdict", &policy->verdict, error) < 0 ||
	    policy_spec_number(spec, "cost", 0, 65535, &cost, error) < 0 ||
	    policy_spec_bool(spec, "not", &policy->negate, error) < 0)
		return -1;
	policy->cost = cost;
	if (policy->negate && policy->verdict == ICP_OP_INVALID)
		return error_set(error,
				 "%s: policy '%s': 'verdict' is missing; 'not' needs one, which "
				 "can be " VERDICT_NAMES,
				 policy_spec_find(spec, "not")->values[0].where, spec->name);
	policy->name = strdup(spec->name);
	policy->tally = tally_new();
	if (!policy->name || !policy->tally)
		return error_set(error, "out of memory");
	return 0;
}

int policy_need_verdict(const struct policy *policy, const struct policy_spec *spec,
			struct error *error)
{
	if (policy->verdict != ICP_OP_INVALID)
		return 0;
	return error_set(error, "%s: policy '%s': 'verdict' is missing; it can be " VERDICT_NAMES,
			 spec->where, spec->name);
}

static void release(struct policy *policy)
{
	tally_unref(policy->tally);
	free(policy->file.path);
	free(policy->name);
	free(policy);
}

int policy_create(const struct policy_spec *spec, struct policy **policy, struct error *error)
{
	const struct policy_kind *kind;
	struct policy *made;

	if (check_name(spec, error))
		return -1;
	kind = find_kind(spec, error);
	if (!kind || check_settings(kind, spec, error))
		return -1;
	made = calloc(1, sizeof(*made));
	if (!made)
		return error_set(error, "out of memory");
	made->kind = kind;
	if (fill_common(made, spec, error) || kind->create(made, spec, error)) {
		if (made->state)
			kind->destroy(made);
		release(made);
		return -1;
	}
	*policy = made;
	return 0;
}

void policy_free(struct policy *policy)
{
	if (!policy)
		return;
	policy->kind->destroy(policy);
	release(policy);
}

static void tell_file(const struct policy *policy, struct policy_state *state)
{
	char modified[CLOCK_TEXT_SIZE];

	clock_text(policy->file.modified, modified);
	*state = (struct policy_state){ .name = "read", .since = policy->file.read };
	snprintf(state->why, sizeof(state->why), "%u %s, last changed %s: %s", policy->file.lines,
		 plural(policy->file.lines, "line", "lines"), modified, policy->file.path);
}

bool policy_tell_state(const struct policy *policy, struct policy_state *state)
{
	if (policy->kind->tell_state)
		policy->kind->tell_state(policy, state);
	else if (policy->file.path)
		tell_file(policy, state);
	else
		return false;
	return true;
}

struct policy_match policy_apply_not(const struct policy *policy, struct policy_match match)
{
	if (policy->negate)
		match.verdict = match.verdict == ICP_OP_INVALID ? policy->verdict : ICP_OP_INVALID;
	return match;
}

struct policy_match policy_match(const struct policy *policy, const struct query *query)
{
	return policy_apply_not(policy, policy->kind->match(policy, query));
}
