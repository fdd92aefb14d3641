// SPDX-License-Identifier: GPL-2.0-or-later
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lately.h"
#include "setup.h"

const char *const load_names[LOAD_MAX] = { "load", "cpu", "memory", "io" };

void setup_begin(struct setup *setup)
{
	memset(setup, 0, sizeof(*setup));
	setup->default_verdict = 3;
	setup->watched = true;
	setup->stale = true;
	lately_begin();
}

void setup_end(struct setup *setup)
{
	for (size_t i = 0; i < setup->policy_count; i++)
		policy_end(&setup->policies[i]);
	setup->policy_count = 0;
}

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

struct policy_setup policy_copy(const struct policy_setup *policy)
{
	struct policy_setup copy = *policy;

	copy.room = copy.count + 1;
	copy.entries = must(calloc(copy.room, sizeof(struct entry)));
	for (size_t i = 0; i < copy.count; i++)
		copy.entries[i] = policy->entries[i];
	return copy;
}

void policy_end(struct policy_setup *policy)
{
	free(policy->entries);
	policy->entries = NULL;
}

struct setup *setup_copy(const struct setup *setup)
{
	struct setup *copy = must(malloc(sizeof(*copy)));

	*copy = *setup;
	for (size_t i = 0; i < copy->policy_count; i++)
		copy->policies[i] = policy_copy(&setup->policies[i]);
	return copy;
}

void setup_free(struct setup *setup)
{
	setup_end(setup);
	free(setup);
}

/* --- policies */

/* The order of bytes without signs, as memcmp has it; the shorter before the longer. */
static int compare_names(struct text a, struct text b)
{
	int order = memcmp(a.at, b.at, a.length < b.length ? a.length : b.length);

	return order ? order : (a.length > b.length) - (a.length < b.length);
}

static struct policy_setup *find_policy(struct setup *setup, struct text name)
{
	for (size_t i = 0; i < setup->policy_count; i++)
		if (text_equal(setup->policies[i].name, name))
			return &setup->policies[i];
	return NULL;
}

static bool remove_policy(struct setup *setup, struct text name)
{
	struct policy_setup *policy = find_policy(setup, name);
	struct policy_setup *end = &setup->policies[setup->policy_count];

	if (!policy)
		return false;
	policy_end(policy);
	memmove(policy, policy + 1, (end - policy - 1) * sizeof(*policy));
	setup->policy_count--;
	return true;
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
		.sees = step->sees,
		.verdict = step->verdict,
		.cost = step->cost,
		.ttl = step->ttl,
		.negate = step->on,
	};
	return true;
}

static void insert_entry(struct policy_setup *policy, size_t place, const struct entry *entry)
{
	if (policy->count == policy->room) {
		policy->room = 2 * policy->room + 4;
		policy->entries = must(reallocarray(policy->entries, policy->room, sizeof(*entry)));
	}
	memmove(&policy->entries[place + 1], &policy->entries[place],
		(policy->count++ - place) * sizeof(*entry));
	policy->entries[place] = *entry;
}

static bool add_entry(struct setup *setup, const struct step *step)
{
	struct policy_setup *policy = find_policy(setup, step->name);
	struct entry entry = {
		.text = step->text,
		.verdict = step->kind == STEP_LINE ? step->verdict : VERDICT_NONE,
		.in_file = step->kind == STEP_LINE,
		.from = step->from,
		.until = UINT_MAX,
	};
	size_t place;

	if (!policy)
		return false;
	memcpy(entry.address, step->address, sizeof(entry.address));
	place = policy->count;
	while (place && !entry.in_file && policy->entries[place - 1].in_file)
		place--;
	insert_entry(policy, place, &entry);
	return true;
}

/* --- gates */

struct text gate_text(const struct policy_setup *policy)
{
	if (policy->count)
		return policy->entries[0].text;
	switch (policy->kind) {
	case KIND_LOAD:
		return (struct text){ "load 1000000 0", 14 };
	case KIND_SCHEDULE:
		return (struct text){ "Sun 23:59-24:00", 15 };
	default:
		return (struct text){ "z", 1 };
	}
}

static unsigned int day_of(const char *name)
{
	static const char days[7][4] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };
	unsigned int day = 0;

	while (day < 6 && memcmp(name, days[day], 3) != 0)
		day++;
	return day;
}

static unsigned int minute_of_day(const char *time)
{
	return ((time[0] - '0') * 10 + time[1] - '0') * 60 + (time[3] - '0') * 10 + time[4] - '0';
}

unsigned int minute_of_week(struct text clock)
{
	return clock.length < 9 ? 0 : day_of(clock.at) * 1440 + minute_of_day(clock.at + 4);
}

/*
 * "[DAY[-DAY]] HH:MM-HH:MM" at a minute of the week: seven spans or fewer, each from its day on. What
 * the shrinking has left of one matches never; the configuration with it is refused.
 */
static bool in_span(const char *span, unsigned int now)
{
	const char *time = strchr(span, ' ') ? strchr(span, ' ') + 1 : span;
	unsigned int first = 0, last = 6, begin, end;

	if (strlen(time) < 11 || (time > span && time - span < 4))
		return false;
	if (time > span) {
		first = last = day_of(span);
		if (span[3] == '-')
			last = day_of(span + 4);
		span = time;
	}
	begin = minute_of_day(span);
	end = minute_of_day(span + 6);
	if (end < begin)
		end += 1440;
	for (unsigned int day = first;; day = (day + 1) % 7) {
		unsigned int since = (now + 7 * 1440 - day * 1440 - begin) % (7 * 1440);

		if (since < end - begin)
			return true;
		if (day == last)
			return false;
	}
}

static bool in_schedule(const struct setup *setup, const struct policy_setup *policy)
{
	unsigned int now = minute_of_week(setup->clock);

	if (policy->count == 0)
		return in_span(gate_text(policy).at, now);
	for (size_t i = 0; i < policy->count; i++)
		if (in_span(policy->entries[i].text.at, now))
			return true;
	return false;
}

/* Which load "RESOURCE ABOVE BELOW" is about. */
static enum load load_of(const char *name)
{
	int load = 0;

	while (load < LOAD_MAX - 1 &&
	       strncmp(name, load_names[load], strlen(load_names[load])) != 0)
		load++;
	return load;
}

/* From `above` on until it is no longer above `below`. */
static bool overloaded(const struct setup *setup, const struct policy_setup *policy, bool before)
{
	const char *text = gate_text(policy).at;
	const char *bounds = strchr(text, ' ');
	char *rest;
	long above, below;

	if (!bounds) /* as above */
		return false;
	above = strtol(bounds, &rest, 10);
	below = strtol(rest, NULL, 10);
	return setup->loads[load_of(text)] > (before ? below : above);
}

/* The state of a gate that was in the state `before`. */
static bool look(const struct setup *setup, const struct policy_setup *policy, bool before)
{
	switch (policy->kind) {
	case KIND_FLAG:
		return setup->flags[(gate_text(policy).at[0] - 'a') % FLAGS_MAX];
	case KIND_LOAD:
		return overloaded(setup, policy, before);
	case KIND_SCHEDULE:
		return in_schedule(setup, policy);
	default: /* a health check's is the number of those that failed */
		return before;
	}
}

static const struct former_gate *find_former(const struct setup *setup,
					     const struct policy_setup *policy)
{
	static const struct former_gate none;

	for (size_t i = 0; i < setup->former_count; i++)
		if (setup->former[i].kind == policy->kind &&
		    text_equal(setup->former[i].name, policy->name) &&
		    text_equal(setup->former[i].watches, gate_text(policy)))
			return &setup->former[i];
	return &none;
}

/* All gates look again. */
static void look_again(struct setup *setup)
{
	setup->former_count = 0;
	for (size_t i = 0; i < setup->policy_count; i++) {
		struct policy_setup *policy = &setup->policies[i];

		if (!kind_is_gate(policy->kind) && policy->kind != KIND_RECENT)
			continue;
		policy->matches = look(setup, policy, policy->matches);
		setup->former[setup->former_count++] =
			(struct former_gate){ policy->name, gate_text(policy), policy->kind,
					      policy->matches, policy->lately };
	}
}

void setup_settle(struct setup *setup)
{
	if (!setup->stale)
		return;
	for (size_t i = 0; i < setup->policy_count; i++) {
		struct policy_setup *policy = &setup->policies[i];
		const struct former_gate *former = find_former(setup, policy);

		policy->matches = former->matches;
		if (policy->kind == KIND_RECENT)
			policy->lately = lately_new(former->lately);
	}
	look_again(setup);
	setup->stale = false;
	setup->epoch++;
}

static void set_origin(struct setup *setup, const struct step *step)
{
	for (size_t i = 0; i < setup->policy_count; i++)
		if (setup->policies[i].kind == KIND_HEALTH &&
		    text_equal(gate_text(&setup->policies[i]), step->name))
			setup->policies[i].matches = step->on;
}

/* --- what helpers and plugins reply */

uint8_t policy_reply(const struct policy_setup *policy, struct text url, const uint8_t address[16],
		     unsigned int change)
{
	bool sees_source = policy->kind != KIND_PLUGIN || policy->sees != SEES_URL;

	for (size_t i = 0; i < policy->count; i++) {
		const struct entry *entry = &policy->entries[i];

		if (entry->since <= change && change < entry->until &&
		    (!entry->from || !sees_source || memcmp(entry->address, address, 16) == 0) &&
		    strstr(url.at, entry->text.at))
			return entry->verdict ? entry->verdict : policy->verdict;
	}
	return VERDICT_NONE;
}

void policy_says(struct policy_setup *policy, const struct step *step, unsigned int changes)
{
	struct entry entry = {
		.text = step->text,
		.verdict = step->verdict,
		.in_file = true,
		.from = step->from,
		.since = changes,
		.until = UINT_MAX,
	};
	size_t place = policy->count;

	memcpy(entry.address, step->address, sizeof(entry.address));
	for (size_t i = 0; i < policy->count; i++) {
		struct entry *old = &policy->entries[i];

		if (old->until != UINT_MAX || !text_equal(old->text, step->text) ||
		    old->from != step->from ||
		    (old->from && memcmp(old->address, step->address, 16) != 0))
			continue;
		old->until = changes;
		place = i + 1;
	}
	if (step->verdict)
		insert_entry(policy, place, &entry);
}

/* --- steps */

static void remove_rule(struct setup *setup, struct text text)
{
	for (size_t i = 0; i < setup->rule_count; i++)
		if (text_equal(setup->rules[i].text, text)) {
			setup->rules[i] = setup->rules[--setup->rule_count];
			return;
		}
}

bool step_changes_chain(const struct step *step)
{
	return step->kind == STEP_DEFAULT || step->kind == STEP_POLICY || step->kind == STEP_TEXT ||
	       step->kind == STEP_LINE || step->kind == STEP_REMOVE;
}

static bool change_chain(struct setup *setup, const struct step *step)
{
	switch (step->kind) {
	case STEP_DEFAULT:
		setup->default_verdict = step->verdict;
		return true;
	case STEP_POLICY:
		return add_policy(setup, step);
	case STEP_REMOVE:
		return remove_policy(setup, step->name);
	default:
		return add_entry(setup, step);
	}
}

static void tell_lately(struct setup *setup, struct policy_setup *policy, const struct step *step)
{
	unsigned int window = lately_settings(policy).window;

	if (step->text.length)
		lately_tell(policy, step->text, step->on);
	else /* queries in flight know what former chains knew */
		policy->lately = lately_new(0);
	if (setup->windows_pass && step->on && window < LATELY_LONG)
		setup->now += 1000 * (uint64_t)window;
}

bool setup_take(struct setup *setup, const struct step *step)
{
	struct policy_setup *policy;

	if (step_changes_chain(step)) {
		bool changed = change_chain(setup, step);

		setup->stale = setup->stale || changed;
		return changed;
	}
	switch (step->kind) {
	case STEP_SAYS:
		policy = find_policy(setup, step->name);
		if (policy && (policy->kind == KIND_HELPER || policy->kind == KIND_PLUGIN))
			policy_says(policy, step, ++setup->changes);
		break;
	case STEP_FLAG:
		setup->flags[(step->name.at[0] - 'a') % FLAGS_MAX] = step->on;
		break;
	case STEP_LOAD:
		setup->loads[load_of(step->name.at)] = step->number;
		break;
	case STEP_ORIGIN:
		set_origin(setup, step);
		break;
	case STEP_RECENT:
		policy = find_policy(setup, step->name);
		if (policy && policy->kind == KIND_RECENT)
			tell_lately(setup, policy, step);
		break;
	case STEP_CLOCK:
		setup->clock = step->text;
		break;
	case STEP_TIME:
		setup->now += step->number;
		break;
	case STEP_WATCH:
		if (setup->watched && !step->on)
			setup->now += LEASE + 1;
		setup->watched = step->on;
		break;
	case STEP_RULE:
		remove_rule(setup, step->text);
		if (setup->rule_count < RULES_MAX)
			setup->rules[setup->rule_count++] =
				(struct rule_setup){ step->text, step->verdict };
		break;
	case STEP_UNRULE:
		remove_rule(setup, step->text);
		break;
	case STEP_DRAIN:
		setup->drain = step->verdict;
		break;
	default:
		return false;
	}
	lately_time(setup->now);
	look_again(setup);
	return false;
}
