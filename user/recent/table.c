// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "recent/table.h"

static struct recent_slot *home_of(const struct recent_table *table,
				   const struct recent_query *query)
{
	return table->slots + prefix_home(query->hash, table->homes);
}

static bool is_free(const struct recent_slot *slot)
{
	return slot->seal == 0;
}

static bool is_key(const struct recent_slot *slot, const struct recent_query *query)
{
	return (uint32_t)slot->seal == recent_tag(query->hash) && slot->store == query->store &&
	       slot->length == query->length && memcmp(slot->text, query->key, query->length) == 0;
}

/* Not as it is: the map may have been written by others. */
static unsigned int reach_of(const struct recent_slot *home)
{
	return home->reach < RECENT_REACH_MAX ? home->reach : RECENT_REACH_MAX;
}

static struct recent_slot *find(struct recent_slot *home, const struct recent_query *query)
{
	for (unsigned int i = 0; i <= reach_of(home); i++)
		if (home[i].distance == i && is_key(&home[i], query))
			return &home[i];
	return NULL;
}

static struct recent_slot *find_free(struct recent_slot *home)
{
	for (unsigned int i = 0; i <= RECENT_REACH_MAX; i++)
		if (is_free(&home[i]))
			return &home[i];
	return NULL;
}

/* The order matters: what is read between two of these has no valid seal. */
static void set_expiry(struct recent_slot *slot, uint64_t hash, uint64_t expires)
{
	__atomic_store_n(&slot->expires, expires, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->seal, recent_seal(hash, expires), __ATOMIC_RELEASE);
}

bool recent_table_put(const struct recent_table *table, const struct recent_query *query,
		      uint64_t expires)
{
	struct recent_slot *home = home_of(table, query), *slot = find(home, query);

	if (!slot) {
		slot = find_free(home);
		if (!slot)
			return false;
		slot->store = query->store;
		slot->length = query->length;
		slot->distance = slot - home;
		memset(slot->text, 0, sizeof(slot->text));
		memcpy(slot->text, query->key, query->length);
		if (slot->distance > home->reach)
			__atomic_store_n(&home->reach, slot->distance, __ATOMIC_RELAXED);
	}
	set_expiry(slot, query->hash, expires);
	return true;
}

static void free_slot(struct recent_slot *slot)
{
	__atomic_store_n(&slot->seal, 0, __ATOMIC_RELEASE);
}

/* Shorten the reach of a home to that of the keys that are left. */
static void shorten_reach(struct recent_slot *home)
{
	unsigned int reach = reach_of(home);

	while (reach && (is_free(&home[reach]) || home[reach].distance != reach))
		reach--;
	if (reach != home->reach)
		__atomic_store_n(&home->reach, reach, __ATOMIC_RELAXED);
}

void recent_table_remove(const struct recent_table *table, const struct recent_query *query)
{
	struct recent_slot *home = home_of(table, query), *slot = find(home, query);

	if (!slot)
		return;
	free_slot(slot);
	shorten_reach(home);
}

static bool is_kept(uint32_t store, const uint32_t *kept)
{
	while (*kept && *kept != store)
		kept++;
	return *kept != 0;
}

uint32_t recent_table_clear(const struct recent_table *table, uint32_t end, uint32_t count,
			    const uint32_t *kept)
{
	for (; end && count; count--) {
		struct recent_slot *slot = &table->slots[--end];

		if (!is_free(slot) && !is_kept(slot->store, kept))
			free_slot(slot);
		if (end < table->homes)
			shorten_reach(slot);
	}
	return end;
}
