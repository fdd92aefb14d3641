// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "policy/kinds/recent.h"
#include "xdp/recents.h"
#include "xdp/shared_map.h"

#define SWEPT_AT_ONCE 8192 /* slots: 1 MiB */

/* --- the lease */

/* Store in the lease which stores the kernel has completely. */
static void publish(struct recent_store *const stores[RECENTS_MAX], struct map_watch *watch)
{
	for (size_t i = 0; i < RECENTS_MAX; i++)
		__atomic_store_n(&watch->recents[i],
				 stores[i] ? recent_store_mirrored(stores[i]) : 0,
				 __ATOMIC_RELEASE);
}

/* --- copying */

/* The kernel has no longer ones, and passes them up. */
static bool is_short(const struct recent_copy *copy)
{
	return copy->length <= RECENT_TEXT_MAX;
}

static struct recent_query query_of(const struct recent_copy *copy)
{
	struct recent_query query = {
		.hash = recent_hash(copy->hash, copy->store),
		.store = copy->store,
		.length = copy->length,
	};

	memcpy(query.key, copy->key, copy->length);
	return query;
}

static bool put(void *context, const struct recent_copy *copy)
{
	const struct recents *recents = context;
	struct recent_query query;

	if (!is_short(copy))
		return true;
	query = query_of(copy);
	return recent_table_put(&recents->table, &query, copy->expires);
}

static void remove_copy(void *context, const struct recent_copy *copy)
{
	const struct recents *recents = context;
	struct recent_query query;

	if (!is_short(copy))
		return;
	query = query_of(copy);
	recent_table_remove(&recents->table, &query);
}

static void incomplete(void *context)
{
	struct recents *recents = context;

	if (recents->watch)
		publish(recents->stores, recents->watch);
	/* Entries of former stores may take up the room. */
	if (!recents->unswept)
		recents->unswept = recents->slots;
}

void recents_open(struct recents *recents, const struct shared_map *map)
{
	*recents = (struct recents){
		.table = { map->memory, map->entries - RECENT_REACH_MAX },
		.slots = map->entries,
		.mirror = {
			.put = put,
			.remove = remove_copy,
			.incomplete = incomplete,
			.context = recents,
		},
	};
}

static bool has_store(struct recent_store *const stores[RECENTS_MAX],
		      const struct recent_store *store)
{
	for (size_t i = 0; i < RECENTS_MAX; i++)
		if (stores[i] == store)
			return true;
	return false;
}

/* Stop copying the stores that are not among `kept`, and drop the references. */
static void release(struct recent_store *stores[RECENTS_MAX],
		    struct recent_store *const kept[RECENTS_MAX])
{
	for (size_t i = 0; i < RECENTS_MAX; i++) {
		if (stores[i] && !has_store(kept, stores[i]))
			recent_store_set_mirror(stores[i], NULL);
		recent_store_unref(stores[i]);
		stores[i] = NULL;
	}
}

void recents_close(struct recents *recents)
{
	static struct recent_store *const none[RECENTS_MAX];

	release(recents->stores, none);
}

void recents_begin_switch(struct recents *recents, const struct chain *chain,
			  struct recent_store *next[RECENTS_MAX], struct map_watch *watch)
{
	size_t count = 0;

	memset(next, 0, RECENTS_MAX * sizeof(struct recent_store *));
	for (size_t rank = 0; chain && rank < chain_count(chain) && count < RECENTS_MAX; rank++) {
		const struct policy *policy = chain_policy(chain, rank);

		if (!policy_is_recent(policy))
			continue;
		next[count] = recent_store_ref(policy_recent_store(policy));
		recent_store_set_mirror(next[count++], &recents->mirror);
	}
	publish(next, watch);
}

void recents_end_switch(struct recents *recents, struct recent_store *next[RECENTS_MAX],
			struct map_watch *watch, bool active)
{
	if (!active) {
		release(next, recents->stores);
		return;
	}
	/* Otherwise frequent switches would keep a sweep from finishing. */
	if (!recents->unswept || memcmp(recents->stores, next, sizeof(recents->stores)) != 0)
		recents->unswept = recents->slots;
	release(recents->stores, next);
	memcpy(recents->stores, next, sizeof(recents->stores));
	recents->watch = watch;
}

uint32_t recents_count(const struct recents *recents)
{
	uint32_t count = 0;

	for (size_t i = 0; i < RECENTS_MAX; i++)
		if (recents->stores[i])
			count += recent_store_usage(recents->stores[i]).entries;
	return count;
}

/* --- steps */

static void sweep(struct recents *recents)
{
	uint32_t kept[RECENTS_MAX + 1] = { 0 }, count = 0;

	for (size_t i = 0; i < RECENTS_MAX; i++)
		if (recents->stores[i])
			kept[count++] = recent_store_id(recents->stores[i]);
	recents->unswept =
		recent_table_clear(&recents->table, recents->unswept, SWEPT_AT_ONCE, kept);
}

bool recents_step(struct recents *recents, size_t most)
{
	bool whole = true;

	for (size_t i = 0; i < RECENTS_MAX; i++)
		if (recents->stores[i] && !recent_store_fill(recents->stores[i], most))
			whole = false;
	if (recents->watch)
		publish(recents->stores, recents->watch);
	if (recents->unswept)
		sweep(recents);
	return whole && !recents->unswept;
}
