// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>

#include <event2/event.h>

#include "xdp-icpd/kernel_tallies.h"
#include "lib/event.h"

/* The policies of the chain in a half of the maps, by rank. It may be a former chain. */
struct half {
	struct decider_tally **by_rank;
	uint32_t count;
};

struct kernel_tallies {
	const struct kernel *kernel;
	struct responder_tallies *tallies;
	struct event *second;
	struct half halves[2];
	struct decided seen[2 * DECIDED_ENTRIES]; /* what has been counted already */
};

/* Add what is new in an entry to the tally of the decider (NULL: not known), and to the sum. */
static void count_entry(struct kernel_tallies *kernel_tallies, uint32_t index,
			const struct decided *now, struct decider_tally *tally)
{
	static const enum icp_opcode verdicts[] = { ICP_OP_HIT, ICP_OP_MISS, ICP_OP_ERR,
						    ICP_OP_MISS_NOFETCH, ICP_OP_DENIED };
	struct decided *seen = &kernel_tallies->seen[index];
	time_t last = time(NULL);

	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
		uint32_t place = decided_verdict(verdicts[i]);
		uint64_t more = now->verdicts[place] - seen->verdicts[place];

		if (more && tally)
			tally_add(&tally->kernel, verdicts[i], more, last);
		if (more)
			tally_add(&kernel_tallies->tallies->all.kernel, verdicts[i], more, last);
	}
	*seen = *now;
}

/* `place` is an index in the half. */
static struct decider_tally *decider(const struct kernel_tallies *kernel_tallies,
				     const struct half *half, uint32_t place)
{
	if (place == DECIDED_BY_RULE)
		return &kernel_tallies->tallies->by_rule;
	if (place == DECIDED_BY_DRAIN)
		return &kernel_tallies->tallies->by_drain;
	if (place < half->count && place < DECIDED_RANKS)
		return half->by_rank[place];
	return place == half->count && half->by_rank ? &kernel_tallies->tallies->by_default : NULL;
}

/* Count `count` entries of a half from `first` on. What cannot be read is counted the next time. */
static void update_entries(struct kernel_tallies *kernel_tallies, uint32_t slot, uint32_t first,
			   uint32_t count)
{
	struct decided *now = calloc(count, sizeof(*now));
	uint32_t start = slot * DECIDED_ENTRIES;

	if (now && kernel_decided(kernel_tallies->kernel, start + first, count, now) == 0)
		for (uint32_t i = 0; i < count; i++)
			count_entry(
				kernel_tallies, start + first + i, &now[i],
				decider(kernel_tallies, &kernel_tallies->halves[slot], first + i));
	free(now);
}

static void update_half(struct kernel_tallies *kernel_tallies, uint32_t slot)
{
	uint32_t ranks = kernel_tallies->halves[slot].count + 1;

	if (ranks > DECIDED_RANKS)
		ranks = DECIDED_RANKS;
	update_entries(kernel_tallies, slot, 0, ranks);
	update_entries(kernel_tallies, slot, DECIDED_RANKS, DECIDED_ENTRIES - DECIDED_RANKS);
}

void kernel_tallies_update(struct kernel_tallies *kernel_tallies)
{
	if (!kernel_tallies)
		return;
	update_half(kernel_tallies, 0);
	update_half(kernel_tallies, 1);
}

static void on_second(evutil_socket_t fd, short what, void *context)
{
	kernel_tallies_update(context);
}

static void half_free(struct half *half)
{
	for (uint32_t i = 0; i < half->count; i++)
		tally_unref(half->by_rank[i]);
	free(half->by_rank);
	*half = (struct half){ 0 };
}

int kernel_tallies_expect(struct kernel_tallies *kernel_tallies, uint32_t slot,
			  const struct chain *chain, struct error *error)
{
	struct half *half = &kernel_tallies->halves[slot];
	size_t count = chain_count(chain);
	struct decider_tally **by_rank = calloc(count + 1, sizeof(*by_rank)); /* never 0 */

	if (!by_rank)
		return error_set(error, "out of memory");
	update_half(kernel_tallies, slot);
	half_free(half);
	for (size_t i = 0; i < count; i++)
		by_rank[i] = tally_ref(chain_policy(chain, i)->tally);
	*half = (struct half){ by_rank, count };
	return 0;
}

struct kernel_tallies *kernel_tallies_new(const struct kernel *kernel,
					  struct responder_tallies *tallies,
					  struct event_base *base, struct error *error)
{
	static const struct timeval second = { .tv_sec = 1 };
	struct kernel_tallies *kernel_tallies = calloc(1, sizeof(*kernel_tallies));

	if (!kernel_tallies)
		goto no_memory;
	kernel_tallies->kernel = kernel;
	kernel_tallies->tallies = tallies;
	if (kernel_decided(kernel, 0, 2 * DECIDED_ENTRIES, kernel_tallies->seen)) {
		error_set(error, "the kernel's counts of decisions cannot be read");
		goto fail;
	}
	kernel_tallies->second = event_new(base, -1, EV_PERSIST, on_second, kernel_tallies);
	if (kernel_tallies->second && event_add(kernel_tallies->second, &second) == 0)
		return kernel_tallies;
no_memory:
	error_set(error, "out of memory");
fail:
	kernel_tallies_free(kernel_tallies);
	return NULL;
}

void kernel_tallies_free(struct kernel_tallies *kernel_tallies)
{
	if (!kernel_tallies)
		return;
	event_drop(kernel_tallies->second);
	half_free(&kernel_tallies->halves[0]);
	half_free(&kernel_tallies->halves[1]);
	free(kernel_tallies);
}
