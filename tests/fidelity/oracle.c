// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "lately.h"
#include "matching.h"
#include "oracle.h"
#include "owners.h"

#define LONGEST_IN_KERNEL 255
#define TTL_MOST 86400 /* seconds; of a plugin that sets none, but looks at the querier */

/* --- a policy */

/*
 * How well an entry matches; 0: not at all. The kinds of which the longest decides tell the length
 * (and one more, for an empty text matches as well), the others just that they do: of equals the
 * first is taken.
 */
static size_t matches(const struct policy_setup *policy, const struct entry *entry,
		      const struct step *ask, struct text host)
{
	struct text url = ask->text, text = entry->text;

	switch (policy->kind) {
	case KIND_PREFIX:
		return text_begins_with(url, text) ? text.length + 1 : 0;
	case KIND_EXACT:
		return text_equal(url, text);
	case KIND_SUBSTRING:
		return text_contains(url, text);
	case KIND_SUFFIX:
		return text_ends_in(url, text) ? text.length + 1 : 0;
	case KIND_GLOB:
		return fits_glob(url, text.at);
	case KIND_REGEX:
		return found_regex(url, text.at);
	case KIND_HOST:
		return host.length ? host_fits(host, text) : 0;
	case KIND_SOURCE:
		return in_network(ask->address, text.at);
	default:
		abort();
	}
}

static uint8_t best_entry(const struct policy_setup *policy, const struct step *ask,
			  struct text host)
{
	uint8_t verdict = VERDICT_NONE;
	size_t best = 0;

	for (size_t i = 0; i < policy->count; i++) {
		const struct entry *entry = &policy->entries[i];
		size_t how_well = matches(policy, entry, ask, host);

		if (how_well <= best)
			continue;
		best = how_well;
		verdict = entry->verdict ? entry->verdict : policy->verdict;
	}
	return verdict;
}

/* The verdict of the policy of that rank, and the cost, or -1; VERDICT_NONE: none. */
static uint8_t ask_policy(const struct walk *walk, size_t rank, struct text host, bool lost,
			  int *cost)
{
	const struct policy_setup *policy = &walk->setup->policies[rank];
	uint8_t verdict = VERDICT_NONE;

	*cost = policy->cost;
	if (policy->kind == KIND_PARTITION)
		return owners_verdict(policy, walk->ask->text, cost);
	if (policy->kind == KIND_RECENT)
		verdict = lately_matches(policy, walk->ask->text) ? policy->verdict : VERDICT_NONE;
	else if (kind_is_gate(policy->kind))
		verdict = policy->matches ? policy->verdict : VERDICT_NONE;
	else if (!kind_replies(policy->kind))
		verdict = best_entry(policy, walk->ask, host);
	else if (!lost)
		verdict = policy_reply(policy, walk->ask->text, walk->ask->address,
				       walk->changes[rank]);
	if (policy->negate)
		return verdict ? VERDICT_NONE : policy->verdict;
	return verdict;
}

/*
 * Must these patterns have an automaton that fits into the kernel? Many stars together may need too
 * many states, and so may texts with many verdicts, since a state remembers the first one found. A
 * bracket that is not closed is left to fnmatch().
 */
static bool has_automaton(const struct policy_setup *policy)
{
	unsigned int stars = 0, bytes = 0, verdicts = 1;

	for (size_t i = 0; i < policy->count; i++) {
		const struct text *text = &policy->entries[i].text;
		bool open = false;

		bytes += text->length;
		verdicts += i && policy->entries[i].verdict != policy->entries[i - 1].verdict;
		for (size_t k = 0; k < text->length; k++) {
			char c = text->at[k];

			stars += c == '*' || c == '+' || c == '?';
			open = (open || c == '[') && c != ']';
			if (c == '\\')
				k++;
		}
		if (policy->kind == KIND_GLOB && open)
			return false;
	}
	if (policy->kind == KIND_SUBSTRING)
		return bytes * verdicts <= 600;
	return stars <= 3 && policy->count <= 4;
}

/*
 * Texts that are long enough are found by their first bytes; a longer URL may have more places where they
 * could be than the kernel looks at. The others need an automaton, of their own if any text decides.
 */
static bool kernel_finds_substrings(const struct policy_setup *policy, struct text url)
{
	bool alike = !policy->negate, few_places = url.length <= 32;
	unsigned int too_short = 0;

	for (size_t i = 0; i < policy->count; i++) {
		too_short += policy->entries[i].text.length < 4;
		alike = alike && policy->entries[i].verdict == policy->entries[0].verdict;
	}
	if (!too_short)
		return few_places;
	return has_automaton(policy) || (few_places && alike && too_short <= 8);
}

/* The kinds that the kernel evaluates by itself, also with `not`; hosts if they are plain. */
static bool kernel_evaluates(const struct policy_setup *policy, struct text url)
{
	if (policy->kind == KIND_SUBSTRING)
		return kernel_finds_substrings(policy, url);
	if (policy->kind == KIND_RECENT)
		return lately_is_short(policy, url);
	if (policy->kind == KIND_GLOB || policy->kind == KIND_REGEX)
		return has_automaton(policy);
	return kind_is_gate(policy->kind) || policy->kind == KIND_SOURCE ||
	       policy->kind == KIND_PARTITION || policy->kind == KIND_PREFIX ||
	       policy->kind == KIND_EXACT || policy->kind == KIND_SUFFIX ||
	       (policy->kind == KIND_HOST && has_plain_host(url));
}

/* --- how long a decision may be used again */

/* When what this policy replies now expires. */
static uint64_t expiry(const struct setup *setup, const struct policy_setup *policy)
{
	uint64_t ttl = policy->ttl > 0 ? policy->ttl : 0;

	if (policy->kind != KIND_PLUGIN)
		return ttl ? setup->now + 1000 * ttl : 0;
	if (policy->sees == SEES_ANYTHING)
		return 0;
	if (policy->sees == SEES_URL && !ttl)
		return UINT64_MAX;
	return setup->now + 1000 * (ttl ? ttl : TTL_MOST);
}

/* Does the kernel have what the recent of that rank knows? */
static bool is_copied(const struct setup *setup, size_t rank)
{
	unsigned int before = 0;

	for (size_t i = 0; i < rank; i++)
		before += setup->policies[i].kind == KIND_RECENT;
	return before < LATELY_IN_KERNEL;
}

/* Notes that the policy is asked now. */
static void note_asked(struct walk *walk, size_t rank)
{
	const struct policy_setup *policy = &walk->setup->policies[rank];
	uint64_t expires;

	if (policy->kind == KIND_RECENT && !is_copied(walk->setup, rank))
		walk->expires = 0;
	if (!kind_replies(policy->kind))
		return;
	expires = expiry(walk->setup, policy);
	walk->changes[rank] = walk->setup->changes;
	walk->replied = true;
	walk->by_source =
		walk->by_source || policy->kind != KIND_PLUGIN || policy->sees != SEES_URL;
	if (expires < walk->expires)
		walk->expires = expires;
}

/* --- the chain */

static struct text host_of(const struct walk *walk, char *normal)
{
	struct text host = { "", 0 };

	for (size_t i = 0; i < walk->setup->policy_count; i++)
		if (walk->setup->policies[i].kind == KIND_HOST && !host.length &&
		    find_host(walk->ask->text, &host))
			host = normal_host(host, normal);
	return host;
}

/* Does the daemon tell the kernel what it needs to know of the policy, as long as it is there? */
static bool depends_on_watch(enum kind kind)
{
	return kind_is_gate(kind) || kind == KIND_RECENT;
}

/* The policy at walk->rank has replied, or decided otherwise. True: the walk is over. */
static bool apply(struct walk *walk, struct text host, bool lost)
{
	const struct policy_setup *policy = &walk->setup->policies[walk->rank];
	int cost;
	uint8_t verdict = ask_policy(walk, walk->rank, host, lost, &cost);

	if (!kernel_evaluates(policy, walk->ask->text) ||
	    (depends_on_watch(policy->kind) && !walk->setup->watched) ||
	    (policy->kind == KIND_RECENT && !is_copied(walk->setup, walk->rank)))
		walk->expected.kernel_knows = false;
	if (!verdict)
		return false;
	walk->expected.verdict = verdict;
	walk->expected.cost = walk->ask->on ? cost : -1;
	walk->expected.decider = BY_POLICY;
	walk->expected.name = policy->name;
	if (depends_on_watch(policy->kind) || policy->kind == KIND_SOURCE)
		walk->expires = 0;
	return true;
}

/* Is the reply of the policy at walk->rank waited for, while others are asked? */
static bool is_waited_for(const struct walk *walk)
{
	enum kind kind = walk->setup->policies[walk->rank].kind;

	return kind_waits(kind) && !(kind == KIND_LUA && walk->setup->scripts_at_once);
}

/* From walk->rank on. `waits`: helpers do not reply at once; `asks`: it is now that they do. */
static bool go_on(struct walk *walk, bool asks, bool waits)
{
	char normal[walk->ask->text.length + 64];
	struct text host = host_of(walk, normal);

	for (; walk->rank < walk->setup->policy_count; walk->rank++) {
		if (asks)
			note_asked(walk, walk->rank);
		if (waits && is_waited_for(walk))
			return false;
		if (apply(walk, host, false))
			return true;
	}
	return true;
}

/* What is decided before the chain is asked; false: the chain decides. */
static bool decide_early(struct walk *walk)
{
	const struct setup *setup = walk->setup;
	const struct step *ask = walk->ask;
	const struct rule_setup *longest = NULL;
	bool fits = ask->text.length <= LONGEST_IN_KERNEL;

	walk->expected = (struct expected){ setup->default_verdict, -1, BY_DEFAULT };
	if (strpbrk(ask->text.at, "\t\n\v\f\r ")) {
		walk->expected = (struct expected){ 4, -1, BY_FORM, .kernel_knows = fits };
		return true;
	}
	if (setup->drain) {
		walk->expected = (struct expected){
			setup->drain,
			-1,
			BY_DRAIN,
			.kernel_knows = fits && setup->drain != VERDICT_SILENCE,
		};
		return true;
	}
	for (size_t i = 0; i < setup->rule_count; i++)
		if (text_begins_with(ask->text, setup->rules[i].text) &&
		    (!longest || setup->rules[i].text.length > longest->text.length))
			longest = &setup->rules[i];
	if (longest && longest->verdict) {
		walk->expected =
			(struct expected){ longest->verdict, -1, BY_RULE, longest->text, fits };
		return true;
	}
	walk->expected.kernel_knows = fits && !longest;
	walk->expected.sent_up = longest != NULL;
	return false;
}

static bool begin(struct walk *walk, const struct setup *setup, const struct step *ask, bool waits)
{
	walk->setup = setup;
	walk->ask = ask;
	walk->rank = 0;
	walk->expires = UINT64_MAX;
	walk->replied = walk->by_source = false;
	walk->lost = 0;
	return decide_early(walk) || go_on(walk, true, waits);
}

bool walk_begin(struct walk *walk, const struct setup *setup, const struct step *ask)
{
	return begin(walk, setup, ask, true);
}

bool walk_reply(struct walk *walk, bool lost)
{
	char normal[walk->ask->text.length + 64];

	if (lost) {
		walk->lost++;
		walk->expires = 0;
	}
	if (apply(walk, host_of(walk, normal), lost))
		return true;
	walk->rank++;
	return go_on(walk, true, true);
}

struct walk oracle_ask(const struct setup *setup, const struct step *ask)
{
	struct walk walk;

	begin(&walk, setup, ask, false);
	return walk;
}

/* --- what is remembered */

void memory_add(struct memory *memory, const struct setup *setup, const struct walk *walk)
{
	struct remembered *remembered;

	/* What nobody replied is the same as long as the chain is: nothing to remember here. */
	if (!walk->replied || walk->expires <= setup->now || walk->setup != setup || setup->stale)
		return;
	if (memory->count == memory->room) {
		memory->room = 2 * memory->room + 64;
		memory->all = reallocarray(memory->all, memory->room, sizeof(*memory->all));
		if (!memory->all)
			abort();
	}
	remembered = &memory->all[memory->count++];
	*remembered = (struct remembered){
		.url = walk->ask->text,
		.epoch = setup->epoch,
		.by_source = walk->by_source,
		.expires = walk->expires,
	};
	memcpy(remembered->address, walk->ask->address, sizeof(remembered->address));
	memcpy(remembered->changes, walk->changes, setup->policy_count * sizeof(walk->changes[0]));
}

bool memory_next(const struct memory *memory, size_t *place, const struct setup *setup,
		 const struct step *ask, struct expected *expected)
{
	while (*place < memory->count) {
		const struct remembered *remembered = &memory->all[(*place)++];
		struct walk walk = { .setup = setup, .ask = ask };

		if (remembered->epoch != setup->epoch || remembered->expires <= setup->now ||
		    !text_equal(remembered->url, ask->text) ||
		    (remembered->by_source &&
		     memcmp(remembered->address, ask->address, sizeof(ask->address)) != 0))
			continue;
		memcpy(walk.changes, remembered->changes, sizeof(walk.changes));
		if (!decide_early(&walk))
			go_on(&walk, false, false);
		*expected = walk.expected;
		return true;
	}
	return false;
}

void memory_clear(struct memory *memory)
{
	free(memory->all);
	*memory = (struct memory){ 0 };
}
