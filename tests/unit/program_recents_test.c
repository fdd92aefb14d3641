// SPDX-License-Identifier: GPL-2.0-or-later
/* The upkeep of the map `recent` (xdp/recents.h), in a map of its own. */
#include <bpf/bpf.h>
#include <unistd.h>

#include "policy/kinds/recent.h"
#include "support/chains.h"
#include "xdp/recents.h"
#include "xdp/shared_map.h"

#define HOMES 60000u
#define SLOTS RECENT_SLOTS(HOMES)
#define FOREIGN 0xffffffffu

static struct shared_map map;
static struct recents recents;
static struct map_watch watch;
static struct chain *chain;

static void open_map(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "recent_test", sizeof(__u32),
				sizeof(struct recent_slot), SLOTS, &options);

	assert_true(fd >= 0);
	assert_int_equal(shared_map_open(&map, fd, sizeof(struct recent_slot), SLOTS), 0);
	recents_open(&recents, &map);
	close(fd);
}

static void switch_chain(void)
{
	struct recent_store *next[RECENTS_MAX];

	recents_begin_switch(&recents, chain, next, &watch);
	recents_end_switch(&recents, next, &watch, true);
}

static void add(const char *url)
{
	struct error error;

	assert_int_equal(policy_recent_add(chain_policy(chain, 0), url, strlen(url), &error), 0);
}

static size_t entries_of(uint32_t store)
{
	size_t count = 0;

	for (uint32_t i = 0; i < SLOTS; i++)
		count += recents.table.slots[i].seal && recents.table.slots[i].store == store;
	return count;
}

/* Left by a store that is no longer in use. */
static void leave(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct recent_query query = {
			.hash = (uint64_t)i << 32 | (i + 1),
			.store = FOREIGN,
			.length = ICP_WORD,
			.key = { i },
		};

		query.hash *= 0x9e3779b97f4a7c15ULL;
		assert_true(recent_table_put(&recents.table, &query, UINT64_MAX));
	}
}

/* However often the chain is replaced by one with the same stores, what others have left goes. */
TEST(a_sweep_ends_in_spite_of_switches)
{
	uint32_t steps = 0;

	chain = make_chain("policy 1 { kind = recent verdict = hit window = 1h entries_max = 9 }");
	open_map();
	leave(1000);
	assert_int_equal(entries_of(FOREIGN), 1000);
	add("http://e.org/");
	switch_chain();
	while (!recents_step(&recents, 1) && steps++ < SLOTS)
		switch_chain();
	assert_in_range(steps, 2, SLOTS / 1000);
	assert_int_equal(entries_of(FOREIGN), 0);
	assert_int_not_equal(watch.recents[0], 0);
	assert_int_equal(entries_of(watch.recents[0]), 1);
	/* A switch after that finds what is written behind the daemon's back. */
	leave(1);
	switch_chain();
	while (!recents_step(&recents, 1))
		;
	assert_int_equal(entries_of(FOREIGN), 0);
	recents_close(&recents);
	shared_map_close(&map);
	chain_unref(chain);
}
