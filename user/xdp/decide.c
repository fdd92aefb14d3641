// SPDX-License-Identifier: GPL-2.0-or-later
/* The XDP program's decision (match.h), with lookups by system call. */
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "lib/clock.h"
#include "xdp/pins.h"
#include "match.h"

/* The lookups return pointers: copies of the entries read last. */
struct copies {
	const struct kernel *kernel;
	struct map_chain chain;
	struct scratch scratch;
	struct prefix_bucket bucket;
	struct prefix_line line;
	struct rule rule;
	struct prefix_answer answer;
	struct automaton_group group;
	struct partition_line places;
	struct recent_slot recent;
	struct source_entry source;
	struct map_watch watch;
	struct verdict_entry verdict;
	struct kernel_reason reason;
};

static const void *copy_entry(const struct copies *copies, enum pin pin, const void *key,
			      void *copy)
{
	return bpf_map_lookup_elem(kernel_pin(copies->kernel, pin), key, copy) ? NULL : copy;
}

static const struct prefix_bucket *lookup_bucket(void *maps, __u32 index)
{
	struct copies *copies = maps;

	return copy_entry(copies, PIN_PREFIXES, &index, &copies->bucket);
}

static const struct prefix_line *lookup_line(void *maps, __u32 index)
{
	struct copies *copies = maps;

	return copy_entry(copies, PIN_TEXTS, &index, &copies->line);
}

static __u32 lookup_text(void *maps, const struct map_chain *chain, struct scratch *scratch,
			 enum url_reading reading)
{
	struct match_text text = match_text(scratch, reading);

	return prefix_find(&chain->trees[reading], text.words, text.length, lookup_bucket,
			   lookup_line, maps, &scratch->cursor);
}

static __u32 find_place(void *maps, const struct map_chain *chain, struct scratch *scratch,
			enum url_reading reading, __u32 at)
{
	return match_place(chain, scratch, reading, at, lookup_text, maps);
}

static __u32 find_reading(void *maps, const struct map_chain *chain, struct scratch *scratch,
			  enum url_reading reading)
{
	struct copies *copies = maps;
	__u32 index = chain->least_answer[reading] + chain->first_answer, answer;
	struct prefix_answer least;

	if (reading >= URL_INSIDE)
		answer = match_inside(chain, scratch, reading, find_place, lookup_bucket, maps);
	else
		answer = match_reading(chain, scratch, reading, lookup_text, maps);
	if (answer == MATCH_UNREADABLE && copy_entry(copies, PIN_ANSWERS, &index, &least) &&
	    least.rank < copies->reason.horizon)
		copies->reason.horizon = least.rank;
	return answer;
}

static const struct partition_line *lookup_places(void *maps, __u32 index)
{
	struct copies *copies = maps;

	return copy_entry(copies, PIN_PARTITIONS, &index, &copies->places);
}

static const struct rule *lookup_rule(void *maps, const struct rule_key *key)
{
	struct copies *copies = maps;

	return copy_entry(copies, PIN_RULES, key, &copies->rule);
}

static const struct prefix_answer *lookup_answer(void *maps, __u32 index)
{
	struct copies *copies = maps;

	return copy_entry(copies, PIN_ANSWERS, &index, &copies->answer);
}

static const struct recent_slot *lookup_recent_slot(void *maps, __u32 index)
{
	struct copies *copies = maps;

	return copy_entry(copies, PIN_RECENT, &index, &copies->recent);
}

static __u32 lookup_recent(void *maps, const struct map_chain *chain, __u32 number, __u32 store,
			   struct scratch *scratch, __u64 now);

static const struct source_entry *lookup_source(void *maps, const struct source_key *key)
{
	struct copies *copies = maps;

	return copy_entry(copies, PIN_SOURCES, key, &copies->source);
}

static const struct map_watch *lookup_watch(void *maps, __u32 slot)
{
	struct copies *copies = maps;

	return copy_entry(copies, PIN_WATCH, &slot, &copies->watch);
}

static const struct verdict_entry *lookup_verdict(void *maps, const struct verdict_key *key)
{
	struct copies *copies = maps;

	copies->reason.remembered = true; /* if anything decides after this */
	return copy_entry(copies, PIN_VERDICTS, key, &copies->verdict);
}

static __u64 lookup_now(void *maps)
{
	return clock_kernel_ns();
}

static bool lookup_groups(void *maps, struct scratch *scratch, __u32 first, __u32 count);

static const struct match_lookups lookups = {
	.find = lookup_text,
	.reading = find_reading,
	.others = match_others,
	.timed = match_timed,
	.automata = match_automata,
	.groups = lookup_groups,
	.key = match_key,
	.places = lookup_places,
	.recent = lookup_recent,
	.recent_slot = lookup_recent_slot,
	.rule = lookup_rule,
	.answer = lookup_answer,
	.source = lookup_source,
	.watch = lookup_watch,
	.verdict = lookup_verdict,
	.now = lookup_now,
};

static __u32 lookup_recent(void *maps, const struct map_chain *chain, __u32 number, __u32 store,
			   struct scratch *scratch, __u64 now)
{
	struct copies *copies = maps;
	__u32 found = match_recent(chain, number, store, scratch, now, &lookups, maps);

	if (found == RECENT_UNKNOWN)
		copies->reason.horizon = chain->recents[number].rank;
	return found;
}

static bool lookup_groups(void *maps, struct scratch *scratch, __u32 first, __u32 count)
{
	struct copies *copies = maps;

	for (__u32 i = 0; i < count; i++) {
		__u32 index = first + i;

		if (!copy_entry(copies, PIN_AUTOMATA, &index, &copies->group))
			return false;
		if (!match_group(scratch, &copies->group, i, &lookups, maps))
			break;
	}
	return true;
}

/* Fill `scratch` as the program does for a well-formed query. */
static void read_query(struct scratch *scratch, const char *url, size_t length,
		       const struct in6_addr *source)
{
	memset(scratch, 0, sizeof(*scratch));
	scratch->frame.ipv6 = true; /* else the address would be read from the last four bytes */
	memcpy(scratch->frame.source, source, sizeof(scratch->frame.source));
	scratch->url_length = length;
	scratch->form = ICP_FORM_QUERY;
	memcpy(scratch->message.words + MESSAGE_URL_WORD, url, length);
}

int kernel_explain(const struct kernel *kernel, const char *url, size_t length,
		   const struct in6_addr *source, struct decision *decision,
		   struct kernel_reason *reason, struct error *error)
{
	struct copies copies = { .kernel = kernel };
	struct map_control control;
	uint32_t zero = 0;

	*reason = (struct kernel_reason){ .horizon = RANK_NONE };
	if (length > PREFIX_URL_MAX) {
		*decision = decision_pass(ICP_COUNT_PASSED_LONG);
		return 0;
	}
	if (!copy_entry(&copies, PIN_CONTROL, &zero, &control) ||
	    !copy_entry(&copies, PIN_CHAIN, &control.active, &copies.chain))
		return error_set(error, "the kernel's maps cannot be read: %s", strerror(errno));
	copies.reason.horizon = copies.chain.horizon;
	read_query(&copies.scratch, url, length, source);
	*decision = match(control.drain, &copies.chain, control.active, &copies.scratch, &lookups,
			  &copies);
	*reason = copies.reason;
	return 0;
}
