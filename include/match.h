/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The decision on a query: the rules first, then the kernel's knowledge of the chain. This is its
 * only implementation: the XDP program, `icpctl check` and the tests differ only in how they look
 * things up.
 */
#ifndef XDP_ICP_MATCH_H
#define XDP_ICP_MATCH_H

#include "decide.h"
#include "scratch.h"

/* match_text() of a reading, looked up in the reading's tree by prefix_find(). */
typedef __u32 (*match_find)(void *maps, const struct map_chain *chain, struct scratch *scratch,
			    enum url_reading reading);

/* match_reading() or match_inside() */
typedef __u32 (*match_read)(void *maps, const struct map_chain *chain, struct scratch *scratch,
			    enum url_reading reading);

/*
 * Lookups in the maps of maps.h; `maps` is what match() was given. NULL: there is no such entry, or
 * it cannot be read. An entry stays valid until the next call of the same function.
 */
struct match_lookups {
	match_find find;
	/* match_others(), match_timed() and match_automata(), which the program calls as functions */
	enum icp_counter (*others)(const struct map_chain *chain, __u32 slot, __u32 answer,
				   struct scratch *scratch, const struct match_lookups *lookups,
				   void *maps);
	enum icp_counter (*timed)(const struct map_chain *chain, __u32 slot,
				  struct scratch *scratch, const struct match_lookups *lookups,
				  void *maps);
	__u32 (*automata)(const struct map_chain *chain, __u32 slot, struct scratch *scratch,
			  __u32 best, const struct match_lookups *lookups, void *maps);
	match_read reading;
	/*
	 * Call match_group() for `count` groups of `automata` from index `first` on, until it
	 * returns false. Returns false if a group cannot be read.
	 */
	bool (*groups)(void *maps, struct scratch *scratch, __u32 first, __u32 count);
	/* Find a key of the URL: scratch->key. */
	void (*key)(void *maps, struct scratch *scratch, const struct url_key_form *form);
	const struct partition_line *(*places)(void *maps, __u32 index);
	/* match_recent() */
	__u32 (*recent)(void *maps, const struct map_chain *chain, __u32 number, __u32 store,
			struct scratch *scratch, __u64 now);
	recent_slot_at recent_slot;
	const struct rule *(*rule)(void *maps, const struct rule_key *key);
	const struct prefix_answer *(*answer)(void *maps, __u32 index);
	const struct source_entry *(*source)(void *maps, const struct source_key *key);
	const struct map_watch *(*watch)(void *maps, __u32 slot);
	const struct verdict_entry *(*verdict)(void *maps, const struct verdict_key *key);
	__u64 (*now)(void *maps); /* nanoseconds of the monotonic clock */
};

/* A text of `length` bytes and a NUL, zero-padded to the word. */
struct match_text {
	const text_word *words;
	__u32 length;
};

/* A reading of the query's URL. Those that are not URL_FORWARD must have been turned. */
ICP_INLINE struct match_text match_text(const struct scratch *scratch, enum url_reading reading)
{
	const struct turned_url *turned = &scratch->turned;
	struct match_text text;

	text.words = scratch->message.words + MESSAGE_URL_WORD;
	if (reading == URL_FORWARD) {
		text.length = scratch_url_length(scratch);
	} else {
		text.words = turned->words;
		text.length = ICP_READ_BACK(turned->length);
	}
	return text;
}

/* Let the policies on the querier's address compete: scratch->best. */
ICP_INLINE void match_source(const struct map_chain *chain, struct scratch *scratch,
			     const struct match_lookups *lookups, void *maps)
{
	struct source_key key = {
		.prefixlen = SOURCE_GENERATION_BITS + 128,
		.generation = chain->generation,
	};
	const struct source_entry *entry;

	mapped_address((__u32 *)key.address, scratch->frame.source, scratch->frame.ipv6);
	entry = lookups->source(maps, &key);
	if (entry && entry->rank < scratch->best.rank)
		scratch->best = candidate_of(entry->rank, entry->verdict, entry->cost);
}

/* Find the host of the URL: scratch->host. */
ICP_INLINE enum host_form match_host(struct scratch *scratch)
{
	return host_find(&scratch->host, scratch->message.bytes + ICP_QUERY_HEADER_SIZE,
			 PREFIX_MAX);
}

/* Find a key of the URL: scratch->key. */
ICP_INLINE void match_key(void *maps, struct scratch *scratch, const struct url_key_form *form)
{
	url_key_find(&scratch->key, form, &scratch->host,
		     scratch->message.bytes + ICP_QUERY_HEADER_SIZE, scratch_url_length(scratch),
		     PREFIX_MAX);
}

/*
 * Walk the chain's group `number` (from 0) over the URL; the least rank proven so far is in
 * scratch->groups. Groups are in the order of their least ranks. Returns false once no other group
 * can win.
 */
ICP_INLINE bool match_group(struct scratch *scratch, const struct automaton_group *group,
			    __u32 number, const struct match_lookups *lookups, void *maps)
{
	__u32 best = ICP_READ_BACK(scratch->groups.best);
	__u32 automata = ICP_READ_BACK(scratch->groups.automata);
	const struct prefix_answer *said;
	__u32 length, answer, slots;

	if (group->rank[0] >= best)
		return false;
	slots = automata >> number % AUTOMATON_GROUPS * AUTOMATON_SLOTS & AUTOMATON_ALL_SLOTS;
	if (!slots)
		return true;
	length = scratch_url_length(scratch);
	if (length > PREFIX_URL_MAX) /* never: for the verifier */
		return false;
	ICP_BOUNDED(length);
	answer = automaton_walk_group(&scratch->groups.walk, group,
				      scratch->message.words + MESSAGE_URL_WORD, length,
				      PREFIX_WORDS, slots, best);
	if (answer == AUTOMATON_NO_ANSWER)
		return true;
	/* If it cannot be read here, match_automata() cannot either, and passes the query up. */
	scratch->groups.answer = answer;
	said = lookups->answer(maps, answer + scratch->groups.first_answer);
	if (!said)
		return false;
	scratch->groups.best = said->rank;
	return true;
}

/* Returned in place of an answer: the reading of the URL that decides cannot be made here. */
#define MATCH_UNREADABLE 0x20000u

/* Returned in place of an answer: the map entry that decides cannot be read. */
#define MATCH_FAILED 0x40000u

/*
 * The answer of the first policy on patterns that matches and has a rank less than `best`.
 * PREFIX_NO_ANSWER: none does. MATCH_FAILED: they cannot be evaluated.
 */
ICP_INLINE __u32 match_automata(const struct map_chain *chain, __u32 slot, struct scratch *scratch,
				__u32 best, const struct match_lookups *lookups, void *maps)
{
	const text_word *url = scratch->message.words + MESSAGE_URL_WORD;
	__u32 automata =
		filter_text(&chain->filter, url, scratch_url_length(scratch), PREFIX_WORDS, best);

	if (!automata)
		return PREFIX_NO_ANSWER;
	scratch->groups.automata = automata;
	scratch->groups.first_answer = chain->first_answer;
	scratch->groups.answer = AUTOMATON_NO_ANSWER;
	scratch->groups.best = best;
	if (!lookups->groups(maps, scratch, slot * AUTOMATON_GROUPS, chain->groups))
		return MATCH_FAILED;
	return ICP_READ_BACK(scratch->groups.answer);
}

/* The answer of this host's place among the owners of the URL. Returns MATCH_FAILED likewise. */
ICP_INLINE __u32 match_partition(const struct map_chain *chain, __u32 slot, struct scratch *scratch,
				 const struct match_lookups *lookups, void *maps)
{
	const struct map_partition *partition = &chain->partition;
	const __u8 *url = scratch->message.bytes + ICP_QUERY_HEADER_SIZE;
	const struct partition_line *line;
	__u32 owned;

	lookups->key(maps, scratch, &partition->hashed.form);
	owned = partition_slot(
		partition_hash(partition->hashed.seed, &scratch->key, url, PREFIX_MAX));
	line = lookups->places(maps, slot * PARTITION_LINES + owned / PARTITION_LINE_SLOTS);
	return line ? partition->answer + partition_place(line, owned) : MATCH_FAILED;
}

/* A key that is read, and its hash so far. */
struct recent_reading {
	const struct prefix_keys *keys;
	struct recent_query *query;
	__u64 sum;
};

ICP_INLINE void recent_take(void *context, __u64 word)
{
	struct recent_reading *reading = context;
	__u32 i = ICP_READ_BACK(reading->query->words);

	if (i >= RECENT_WORDS) /* never: for the verifier */
		return;
	ICP_BOUNDED(i);
	word = word_little(word);
	reading->query->key[i] = word;
	reading->query->words = i + 1;
	reading->sum += prefix_product(word, &reading->keys->word[i]);
}

/* Read the key of `length` bytes that has been found. Returns its prefix_hash(). */
ICP_INLINE __u64 match_recent_key(const struct prefix_keys *keys, struct scratch *scratch,
				  __u32 length)
{
	struct recent_reading reading = { keys, &scratch->recent, length * keys->length };

	reading.query->words = 0;
	url_key_read(&scratch->key, scratch->message.bytes + ICP_QUERY_HEADER_SIZE, PREFIX_MAX,
		     recent_take, &reading);
	if (length % ICP_WORD == 0) {
		length /= ICP_WORD;
		ICP_BOUNDED(length);
		if (length <= RECENT_WORDS)
			reading.sum += prefix_product(0, &keys->word[length]);
	}
	return prefix_mix(reading.sum);
}

/* Was the key that policy `number` wants of the URL seen lately? An enum recent_found. */
ICP_INLINE __u32 match_recent(const struct map_chain *chain, __u32 number, __u32 store,
			      struct scratch *scratch, __u64 now,
			      const struct match_lookups *lookups, void *maps)
{
	struct recent_query *query = &scratch->recent;
	__u32 length;

	if (!store)
		return RECENT_UNKNOWN;
	match_key(maps, scratch, &chain->recents[number].form);
	length = ICP_READ_BACK(scratch->key.end) - ICP_READ_BACK(scratch->key.begin);
	if (length > RECENT_TEXT_MAX)
		return RECENT_UNKNOWN;
	ICP_BOUNDED(length);
	query->store = store;
	query->length = length;
	query->hash = recent_hash(match_recent_key(&chain->recent_keys, scratch, length), store);
	return recent_find(chain->recent_homes, query, now, lookups->recent_slot, maps);
}

/*
 * The first policy on what was seen lately that matches and has a rank less than `best`: its number, or
 * RECENTS_MAX: none does. With MATCH_UNREADABLE: whether this one matches cannot be told here.
 */
ICP_INLINE __u32 match_recents(const struct map_chain *chain, const struct map_watch *watch,
			       struct scratch *scratch, __u32 best, __u64 now,
			       const struct match_lookups *lookups, void *maps)
{
	for (__u32 i = 0; i < RECENTS_MAX; i++) {
		const struct map_recent *recent = &chain->recents[i];
		__u32 found;

		if (recent->rank >= best)
			break;
		found = lookups->recent(maps, chain, i, ICP_READ_BACK(watch->recents[i]), scratch,
					now);
		if (found == RECENT_UNKNOWN)
			return i | MATCH_UNREADABLE;
		if ((found == RECENT_THERE) != (recent->negate != 0))
			return i;
	}
	return RECENTS_MAX;
}

/* Look up an earlier decision of the daemon on this URL. RANK_NONE: there is no valid one. */
ICP_INLINE struct candidate match_verdict(const struct map_chain *chain, struct scratch *scratch,
					  __u64 now, const struct match_lookups *lookups,
					  void *maps)
{
	const text_word *url = scratch->message.words + MESSAGE_URL_WORD;
	const struct verdict_entry *entry;
	struct verdict_key key;
	__u64 source[2];
	__u32 length;

	mapped_address((__u32 *)source, scratch->frame.source, scratch->frame.ipv6);
	length = scratch_url_length(scratch);
	if (length > PREFIX_URL_MAX) /* never: for the verifier */
		return candidate_of(RANK_NONE, ICP_OP_INVALID, ICP_NO_COST);
	ICP_BOUNDED(length);
	key.hash = verdict_hash(chain, url, length, source);
	entry = lookups->verdict(maps, &key);
	length = scratch_url_length(scratch);
	if (!entry || length > PREFIX_URL_MAX)
		return candidate_of(RANK_NONE, ICP_OP_INVALID, ICP_NO_COST);
	return verdict_read(chain, entry, key.hash, url, length, source, now);
}

/* Places of a URL at which texts of URL_INSIDE are looked up at most. */
#define MATCH_PLACES_MAX 32u

/*
 * Look up URL_BACKWARD or URL_HOST. Returns an answer, PREFIX_NO_ANSWER, PREFIX_COLLISION or
 * MATCH_UNREADABLE.
 */
ICP_INLINE __u32 match_reading(const struct map_chain *chain, struct scratch *scratch,
			       enum url_reading reading, match_find find, void *maps)
{
	const struct prefix_tree *tree = &chain->trees[reading];

	if (reading == URL_BACKWARD)
		url_turn_backward(&scratch->turned, tree, scratch->message.bytes,
				  ICP_QUERY_HEADER_SIZE, scratch_url_length(scratch));
	else if (!url_turn_host(&scratch->turned, tree, scratch->message.bytes,
				ICP_QUERY_HEADER_SIZE, match_host(scratch), &scratch->host))
		return MATCH_UNREADABLE;
	return find(maps, chain, scratch, reading);
}

/* Look up the reading's texts that are at byte `at` of the URL. Returns as match_reading(). */
ICP_INLINE __u32 match_place(const struct map_chain *chain, struct scratch *scratch,
			     enum url_reading reading, __u32 at, match_find find, void *maps)
{
	const struct prefix_tree *tree = &chain->trees[reading];
	__u32 left = scratch_url_length(scratch) - at;

	if (at >= PREFIX_URL_MAX || left > PREFIX_URL_MAX) /* never: for the verifier */
		return PREFIX_COLLISION;
	ICP_BOUNDED(at);
	ICP_BOUNDED(left);
	url_turn_inside(&scratch->turned, tree, scratch->message.bytes, ICP_QUERY_HEADER_SIZE + at,
			left);
	return find(maps, chain, scratch, reading);
}

/* match_place() */
typedef __u32 (*match_look)(void *maps, const struct map_chain *chain, struct scratch *scratch,
			    enum url_reading reading, __u32 at);

/* Look at the places before byte `at` of the URL to which its gram may belong. False: no more. */
ICP_INLINE bool match_places(const struct map_chain *chain, const struct gram_filter *grams,
			     struct scratch *scratch, enum url_reading reading, __u32 at,
			     match_look look, void *maps)
{
	__u32 stride = gram_stride(grams);

	for (__u32 before = 0; before < GRAM_STRIDE_MAX; before++) {
		__u32 found, left = ICP_READ_BACK(scratch->inside.left);

		if (before >= stride || before > at)
			break;
		if (left == 0) {
			scratch->inside.answer = MATCH_UNREADABLE;
			return false;
		}
		scratch->inside.left = left - 1;
		found = look(maps, chain, scratch, reading, at - before);
		if (found == PREFIX_COLLISION) {
			scratch->inside.answer = found;
			return false;
		}
		if (reading == URL_ABSENT)
			scratch->inside.answer |= found;
		else if (answer_precedes(found, ICP_READ_BACK(scratch->inside.answer)))
			scratch->inside.answer = found;
	}
	return ICP_READ_BACK(scratch->inside.answer) != ICP_READ_BACK(scratch->inside.last);
}

/* Byte `at` of the URL. The remainder changes nothing; it is a bound for the verifier. */
ICP_INLINE const __u8 *match_byte(const __u8 *memory, __u32 at)
{
	return memory + (ICP_QUERY_HEADER_SIZE + at) % TURN_ROOM;
}

/* Begin to look for the texts that the URL contains. */
ICP_INLINE void match_inside_begin(const struct map_chain *chain, struct scratch *scratch,
				   enum url_reading reading)
{
	scratch->inside.answer = PREFIX_NO_ANSWER;
	scratch->inside.last =
		reading == URL_ABSENT ? chain->absent_all : chain->least_answer[URL_INSIDE];
	scratch->inside.left = MATCH_PLACES_MAX;
}

/* The grams of a reading from URL_INSIDE on. */
ICP_INLINE const struct gram_filter *match_grams(const struct map_chain *chain,
						 enum url_reading reading)
{
	return &chain->grams[(reading - URL_INSIDE) % URL_SEARCHES];
}

/* The first byte of step `i`. */
ICP_INLINE __u32 match_inside_at(const struct gram_filter *grams, __u32 i)
{
	return i * GRAM_PLACES * gram_stride(grams);
}

/* The number of bytes from `at` on at which a gram can begin; not positive: none. */
ICP_INLINE __s32 match_inside_left(const struct gram_filter *grams, const struct scratch *scratch,
				   __u32 at)
{
	return scratch_url_length(scratch) - grams->bytes + 1 - at;
}

/* The first step with a place that passes the sieve; most URLs have none, and PREFIX_WORDS is returned. */
ICP_INLINE __u32 match_inside_first(const struct map_chain *chain, const struct scratch *scratch,
				    enum url_reading reading)
{
	const struct gram_filter *grams = match_grams(chain, reading);

	if (!grams->sieved)
		return 0;
	for (__u32 i = 0; i < PREFIX_WORDS; i++) {
		__u32 at = match_inside_at(grams, i);

		if (match_inside_left(grams, scratch, at) <= 0)
			break;
		if (gram_passed(grams, match_byte(scratch->message.bytes, at)))
			return i;
	}
	return PREFIX_WORDS;
}

/*
 * Look for texts at the places of step `i` (from 0): eight, a stride apart. Returns false at the end,
 * at the latest after PREFIX_WORDS steps.
 */
ICP_INLINE bool match_inside_step(const struct map_chain *chain, struct scratch *scratch,
				  enum url_reading reading, __u32 i, match_look look,
				  prefix_bucket_at bucket_at, void *maps)
{
	const struct gram_filter *grams = match_grams(chain, reading);
	const __u8 *memory = scratch->message.bytes;
	__u32 stride = gram_stride(grams), at = match_inside_at(grams, i);
	__s32 left = match_inside_left(grams, scratch, at);
	__u32 passed = ~0u;

	if (left <= 0)
		return false;
	if (grams->sieved)
		passed = gram_passed(grams, match_byte(memory, at));
	for (__u32 k = 0; k < GRAM_PLACES && passed >> k; k++) {
		__u32 place = at + k * stride;

		if (!(passed >> k & 1) || (__s32)(k * stride) >= left ||
		    !gram_find(grams, word_at(match_byte(memory, place)), bucket_at, maps))
			continue;
		if (!match_places(chain, grams, scratch, reading, place, look, maps))
			return false;
	}
	return true;
}

/*
 * The result of the steps: the first of all answers, PREFIX_NO_ANSWER, PREFIX_COLLISION, or
 * MATCH_UNREADABLE: there are too many places.
 */
ICP_INLINE __u32 match_inside_end(const struct map_chain *chain, const struct scratch *scratch,
				  enum url_reading reading)
{
	__u32 answer = ICP_READ_BACK(scratch->inside.answer);

	/* With URL_ABSENT, the first policy with none of its texts in the URL matches. */
	if (reading != URL_ABSENT || answer == PREFIX_COLLISION || answer == MATCH_UNREADABLE)
		return answer;
#pragma GCC unroll 8
	for (__u32 i = 0; i < ABSENT_MAX; i++)
		if (!(answer >> i & 1))
			return chain->absent_answers[i];
	return PREFIX_NO_ANSWER;
}

/*
 * The whole search with its steps in a plain loop, which the XDP program has to do in another way.
 */
ICP_INLINE __u32 match_inside(const struct map_chain *chain, struct scratch *scratch,
			      enum url_reading reading, match_look look, prefix_bucket_at bucket_at,
			      void *maps)
{
	match_inside_begin(chain, scratch, reading);
	for (__u32 i = match_inside_first(chain, scratch, reading); i < PREFIX_WORDS; i++)
		if (!match_inside_step(chain, scratch, reading, i, look, bucket_at, maps))
			break;
	return match_inside_end(chain, scratch, reading);
}

/*
 * Look up all readings but URL_FORWARD that have an answer before `answer`. Returns the first of all
 * answers, or PREFIX_COLLISION; or, combined with MATCH_UNREADABLE, the least answer of a reading
 * that cannot be made, if that precedes all others.
 */
ICP_INLINE __u32 match_readings(const struct map_chain *chain, struct scratch *scratch,
				__u32 answer, const struct match_lookups *lookups, void *maps)
{
	__u32 unreadable = 0;

#pragma GCC unroll 4
	for (__u32 reading = URL_FORWARD + 1; reading < URL_READINGS; reading++) {
		__u32 least = chain->least_answer[reading], found;

		if (!answer_precedes(least, answer))
			continue;
		found = lookups->reading(maps, chain, scratch, reading);
		if (found == PREFIX_COLLISION)
			return found;
		if (found == MATCH_UNREADABLE) {
			answer = least;
			unreadable = MATCH_UNREADABLE;
		} else if (answer_precedes(found, answer)) {
			answer = found;
			unreadable = 0;
		}
	}
	return answer | unreadable;
}

/*
 * Evaluate the policies that are not prefixes and do not depend on time; `answer` is that of the
 * prefixes. Updates scratch->best and scratch->horizon. Returns ICP_COUNT_ANSWERED, or the reason to
 * pass.
 */
ICP_INLINE enum icp_counter match_others(const struct map_chain *chain, __u32 slot, __u32 answer,
					 struct scratch *scratch,
					 const struct match_lookups *lookups, void *maps)
{
	const struct prefix_answer *said;

	if (chain->others & OTHER_READINGS) {
		answer = match_readings(chain, scratch, answer, lookups, maps);
		if (answer == PREFIX_COLLISION)
			return ICP_COUNT_PASSED_COLLISION;
		said = lookups->answer(maps, answer % MATCH_UNREADABLE + chain->first_answer);
		if (!said)
			return ICP_COUNT_PASSED_FAILED;
		if (answer < MATCH_UNREADABLE && answer != PREFIX_NO_ANSWER)
			scratch->best = candidate_of(said->rank, said->verdict, said->cost);
		/* As if the kernel could not evaluate this policy. */
		if (answer >= MATCH_UNREADABLE && said->rank < scratch->horizon)
			scratch->horizon = said->rank;
	}
	if (chain->others & OTHER_SOURCES)
		match_source(chain, scratch, lookups, maps);
	answer = PREFIX_NO_ANSWER;
	if (chain->others & OTHER_PATTERNS)
		answer = lookups->automata(chain, slot, scratch, scratch->best.rank, lookups, maps);
	/* A partition gives a verdict on every URL: no policy after it is in the maps. */
	if (chain->others & OTHER_PARTITION && answer == PREFIX_NO_ANSWER &&
	    chain->partition.rank < scratch->best.rank)
		answer = match_partition(chain, slot, scratch, lookups, maps);
	if (answer != PREFIX_NO_ANSWER) {
		said = lookups->answer(maps, answer + chain->first_answer);
		if (answer == MATCH_FAILED || !said)
			return ICP_COUNT_PASSED_FAILED;
		scratch->best = candidate_of(said->rank, said->verdict, said->cost);
	}
	return ICP_COUNT_ANSWERED;
}

/*
 * Evaluate what depends on time: the lease, gates, what was seen lately, and behind the horizon the
 * remembered verdict of the daemon, which stands in for what the kernel cannot evaluate. Only for a
 * scratch->best that is not before both the first gate and the horizon. Returns as match_others().
 */
ICP_INLINE enum icp_counter match_timed(const struct map_chain *chain, __u32 slot,
					struct scratch *scratch,
					const struct match_lookups *lookups, void *maps)
{
	struct candidate best = scratch->best, known;
	__u32 horizon = scratch->horizon, recent;
	const struct map_watch *guard;
	__u64 now;

	if (chain->first_gate == RANK_NONE && chain->memory == MEMORY_NONE)
		return ICP_COUNT_PASSED_HORIZON;
	guard = lookups->watch(maps, slot);
	now = lookups->now(maps);
	if (!guard || !lease_valid(guard, chain, now))
		return ICP_COUNT_PASSED_LEASE_EXPIRED;
	best = candidate_first(best, candidate_gate(guard));
	if (chain->others & OTHER_RECENTS) {
		recent = match_recents(chain, guard, scratch, best.rank, now, lookups, maps);
		if (recent >= MATCH_UNREADABLE)
			return ICP_COUNT_PASSED_HORIZON;
		if (recent < RECENTS_MAX)
			best = candidate_of(chain->recents[recent].rank,
					    chain->recents[recent].verdict,
					    chain->recents[recent].cost);
	}
	if (best.rank >= horizon) {
		if (chain->memory == MEMORY_NONE)
			return ICP_COUNT_PASSED_HORIZON;
		known = match_verdict(chain, scratch, now, lookups, maps);
		if (known.rank == RANK_NONE)
			return ICP_COUNT_PASSED_HORIZON;
		best = candidate_first(known, best);
	}
	scratch->best = best;
	return ICP_COUNT_ANSWERED;
}

/* Evaluate the chain. Of all candidates the smallest rank wins if it lies before the horizon. */
ICP_INLINE struct decision match_chain(const struct map_chain *chain, __u32 slot,
				       struct scratch *scratch, const struct match_lookups *lookups,
				       void *maps)
{
	const struct prefix_answer *said;
	struct candidate best;
	enum icp_counter counter;
	__u32 answer;

	answer = lookups->find(maps, chain, scratch, URL_FORWARD);
	if (answer == PREFIX_COLLISION)
		return decision_pass(ICP_COUNT_PASSED_COLLISION);
	if (answer == PREFIX_NO_ANSWER) {
		best = candidate_default(chain);
	} else {
		said = lookups->answer(maps, answer + chain->first_answer);
		if (!said)
			return decision_pass(ICP_COUNT_PASSED_FAILED);
		best = candidate_of(said->rank, said->verdict, said->cost);
	}
	if (!chain->others && best.rank < chain->first_gate && best.rank < chain->horizon)
		return decision_by(best);

	scratch->best = best;
	scratch->horizon = chain->horizon;
	if (chain->others & ~OTHER_RECENTS) { /* which depend on time */
		counter = lookups->others(chain, slot, answer, scratch, lookups, maps);
		if (counter != ICP_COUNT_ANSWERED)
			return decision_pass(counter);
	}
	/* Before all gates and before the horizon the lease does not matter. */
	if (scratch->best.rank >= chain->first_gate || scratch->best.rank >= scratch->horizon) {
		counter = lookups->timed(chain, slot, scratch, lookups, maps);
		if (counter != ICP_COUNT_ANSWERED)
			return decision_pass(counter);
	}
	return decision_by(scratch->best);
}

/*
 * Decide on the query in `scratch`, whose URL is zero-padded. `drain` is as in struct map_control;
 * `slot` is the chain's index in the map. Overwrites the message's requester host address.
 */
ICP_INLINE struct decision match(__u32 drain, const struct map_chain *chain, __u32 slot,
				 struct scratch *scratch, const struct match_lookups *lookups,
				 void *maps)
{
	struct rule_key *key;
	const struct rule *rule;

	if (scratch->form == ICP_FORM_WHITE_SPACE)
		return decision_answer(ICP_OP_ERR, ICP_NO_COST);
	if (drain)
		return decide_by_drain(drain);

	/*
	 * The trie wants the length in front of the text, where the requester host address lies:
	 * it has been added to the checksum, and is no longer needed.
	 */
	key = (struct rule_key *)&scratch->message.query.requester_host_address;
	key->prefixlen = 8 * scratch_url_length(scratch);
	rule = lookups->rule(maps, key);
	if (rule)
		return decide_by_rule(rule);
	return match_chain(chain, slot, scratch, lookups, maps);
}

#endif
