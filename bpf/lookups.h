/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The program's lookups: bpf_map_lookup_elem() on each map, inlined. */
#ifndef XDP_ICP_LOOKUPS_H
#define XDP_ICP_LOOKUPS_H

#include <bpf/bpf_core_read.h>

#include "maps_bpf.h"
#include "match.h"

/* The kernel's own structure of a map like `rules`, as far as it is read here. */
struct lpm_trie {
	size_t n_entries;
} __attribute__((preserve_access_index));

ICP_INLINE struct scratch *lookup_scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratch, &zero);
}

ICP_INLINE const struct map_control *lookup_control(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&control, &zero);
}

ICP_INLINE const struct map_chain *lookup_chain(__u32 slot)
{
	return bpf_map_lookup_elem(&chain, &slot);
}

ICP_INLINE const struct prefix_bucket *lookup_bucket(void *maps, __u32 index)
{
	return bpf_map_lookup_elem(&prefixes, &index);
}

ICP_INLINE const struct prefix_line *lookup_line(void *maps, __u32 index)
{
	return bpf_map_lookup_elem(&texts, &index);
}

/* Usually there are no rules, which can be seen without a call. */
ICP_INLINE const struct rule *lookup_rule(void *maps, const struct rule_key *key)
{
	const struct lpm_trie *trie = (const void *)&rules;

	if (bpf_core_field_exists(trie->n_entries) && trie->n_entries == 0)
		return NULL;
	return bpf_map_lookup_elem(&rules, key);
}

ICP_INLINE const struct prefix_answer *lookup_answer(void *maps, __u32 index)
{
	return bpf_map_lookup_elem(&answers, &index);
}

ICP_INLINE const struct source_entry *lookup_source(void *maps, const struct source_key *key)
{
	return bpf_map_lookup_elem(&sources, key);
}

ICP_INLINE const struct map_watch *lookup_watch(void *maps, __u32 slot)
{
	return bpf_map_lookup_elem(&watch, &slot);
}

ICP_INLINE const struct verdict_entry *lookup_verdict(void *maps, const struct verdict_key *key)
{
	return bpf_map_lookup_elem(&verdicts, key);
}

ICP_INLINE const struct automaton_group *lookup_group(__u32 index)
{
	return bpf_map_lookup_elem(&automata, &index);
}

ICP_INLINE const struct partition_line *lookup_places(void *maps, __u32 index)
{
	return bpf_map_lookup_elem(&partitions, &index);
}

ICP_INLINE const struct recent_slot *lookup_recent_slot(void *maps, __u32 index)
{
	return bpf_map_lookup_elem(&recent, &index);
}

ICP_INLINE __u64 lookup_now(void *maps)
{
	/*
	 * The coarse clock takes 18 ns instead of 34, and jiffies one load, but both lag, by any
	 * amount in a virtual machine that was stopped: expired entries would still be used.
	 */
	return bpf_ktime_get_ns();
}

#endif
