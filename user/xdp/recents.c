// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "policy/kinds/recent.h"
#include "xdp/recents.h"

#define SWEEP_KEYS 128 /* looked at in a step */

/* --- the lease */

/* Tell the kernel which stores it has as a whole. */
static void publish(struct recent_store *const stores[RECENTS_MAX], struct map_watch *watch)
{
	for (size_t i = 0; i < RECENTS_MAX; i++)
		__atomic_store_n(&watch->recents[i],
				 stores[i] ? recent_store_mirrored(stores[i]) : 0,
				 __ATOMIC_RELEASE);
}

/* --- copying */

static bool put(void *context, const struct recent_copy *copy)
{
	const struct recents *recents = context;
	struct recent_hash key = { recent_hash(copy->hash, copy->store) };
	struct recent_entry entry = {
		.store = copy->store,
		.length = copy->length,
		.expires = copy->expires,
	};

	if (copy->length > RECENT_TEXT_MAX)
		return true; /* the kernel passes it up */
	entry.seal = recent_seal(key.hash, entry.store, entry.length, entry.expires);
	memcpy(entry.text, copy->key, copy->length);
	return bpf_map_update_elem(recents->fd, &key, &entry, BPF_ANY) == 0;
}

static void remove_copy(void *context, const struct recent_copy *copy)
{
	const struct recents *recents = context;
	struct recent_hash key = { recent_hash(copy->hash, copy->store) };

	if (copy->length <= RECENT_TEXT_MAX)
		bpf_map_delete_elem(recents->fd, &key);
}

static void incomplete(void *context)
{
	struct recents *recents = context;

	if (recents->watch)
		publish(recents->stores, recents->watch);
}

void recents_open(struct recents *recents, int fd)
{
	*recents = (struct recents){ .fd = fd };
	recents->mirror = (struct recent_mirror){
		.put = put,
		.remove = remove_copy,
		.incomplete = incomplete,
		.context = recents,
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

/* Copy the stores no more that are not among `kept`, and drop the references. */
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
	release(recents->stores, next);
	memcpy(recents->stores, next, sizeof(recents->stores));
	recents->watch = watch;
	recents->sweeps = true;
	recents->sweep_goes = false;
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

static bool is_ours(const struct recents *recents, uint32_t store)
{
	for (size_t i = 0; i < RECENTS_MAX; i++)
		if (recents->stores[i] && recent_store_id(recents->stores[i]) == store)
			return true;
	return false;
}

/* Look at the next entries of the map, by its buckets. */
static void sweep(struct recents *recents)
{
	struct recent_hash keys[SWEEP_KEYS];
	struct recent_entry entries[SWEEP_KEYS];
	uint32_t next = 0, count = SWEEP_KEYS;
	int failed =
		bpf_map_lookup_batch(recents->fd, recents->sweep_goes ? &recents->sweep_next : NULL,
				     &next, keys, entries, &count, NULL);

	/* ENOENT: these were the last. */
	recents->sweeps = !failed;
	if (failed && errno != ENOENT)
		return;
	recents->sweep_goes = true;
	recents->sweep_next = next;
	for (uint32_t i = 0; i < count; i++)
		if (!is_ours(recents, entries[i].store))
			bpf_map_delete_elem(recents->fd, &keys[i]);
}

bool recents_step(struct recents *recents, size_t most)
{
	bool whole = true;

	for (size_t i = 0; i < RECENTS_MAX; i++)
		if (recents->stores[i] && !recent_store_fill(recents->stores[i], most))
			whole = false;
	if (recents->watch)
		publish(recents->stores, recents->watch);
	if (recents->sweeps)
		sweep(recents);
	return whole && !recents->sweeps;
}
