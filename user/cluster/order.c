// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Of two members the one with the smaller quotient of distance and weight comes first, where the
 * distance is -log2(u): the base of the logarithm does not change the order. Quotients are compared
 * by multiplication; with equal ones the smaller name comes first.
 *
 * Logarithms are fixed-point numbers with 32 bits behind the point, from a table of 1,024 intervals,
 * linear within each. The table's values come from squaring: of log2(y), with y from 1 to 2, the next
 * bit is 1 if the square of y is 2 or more, and the square, halved then, has the other bits.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/order.h"
#include "lib/vec.h"

#define INTERVALS 1024u
#define ONE (1ull << 32)

struct member {
	uint64_t seed;
	uint32_t weight;
};

struct order {
	uint64_t seed;
	size_t count;
	struct member *members;
};

static uint64_t logarithms[INTERVALS + 1];

static void fill_logarithms(void)
{
	for (unsigned int i = 0; i < INTERVALS; i++) {
		/* Two bits before the point, 62 behind it. */
		uint64_t y = (uint64_t)(INTERVALS + i) << 52, bits = 0;

		for (int bit = 0; bit < 32; bit++) {
			y = (unsigned __int128)y * y >> 62;
			bits = bits << 1 | y >> 63;
			y >>= y >> 63;
		}
		logarithms[i] = bits;
	}
	logarithms[INTERVALS] = ONE;
}

/* -log2 of hash / 2^64, with 32 bits behind the point: from 1 to 64 * ONE. */
static uint64_t distance(uint64_t hash)
{
	unsigned int zeros;
	uint64_t fraction, at;

	hash |= 1;
	zeros = __builtin_clzll(hash);
	hash <<= zeros; /* the highest bit is 1, ten bits tell the interval */
	at = hash >> 53 & (INTERVALS - 1);
	fraction = hash >> 21 & (ONE - 1);
	return (zeros + 1) * ONE - logarithms[at] -
	       ((logarithms[at + 1] - logarithms[at]) * fraction >> 32);
}

static uint64_t hash_text(uint64_t seed, const char *text, size_t length)
{
	struct url_key whole = { .end = length };

	return partition_hash(seed, &whole, (const __u8 *)text, length);
}

uint64_t order_seed(const char *cluster)
{
	return hash_text(0, cluster, strlen(cluster));
}

struct order *order_new(uint64_t seed)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct order *order = calloc(1, sizeof(*order));

	pthread_once(&once, fill_logarithms);
	if (order)
		order->seed = seed;
	return order;
}

void order_free(struct order *order)
{
	if (!order)
		return;
	free(order->members);
	free(order);
}

int order_add(struct order *order, const char *name, unsigned int weight)
{
	struct member *member;

	if (order->count == ORDER_MEMBERS_MAX)
		return -1;
	member = vec_append(order->members, order->count);
	if (!member)
		return -1;
	member->seed = hash_text(order->seed, name, strlen(name));
	member->weight = weight;
	return 0;
}

static uint64_t member_hash(const struct member *member, uint64_t slot_hash)
{
	return partition_mix(member->seed ^ slot_hash);
}

/* Does member `a`, counted from 0, come before `b` in a slot, where `b` has this distance? */
static bool precedes(const struct order *order, size_t a, uint64_t slot_hash, size_t b,
		     uint64_t b_distance)
{
	uint64_t a_hash = member_hash(&order->members[a], slot_hash);
	uint64_t a_weight = order->members[a].weight, b_weight = order->members[b].weight;
	uint64_t ours = a_weight * b_distance, theirs;

	/* The distance is more than 1 - u, which tells most members without the logarithm. */
	if ((~a_hash >> 32) * b_weight > ours)
		return false;
	theirs = b_weight * distance(a_hash);
	return ours > theirs || (ours == theirs && a < b);
}

unsigned int order_place(const struct order *order, uint32_t slot, size_t member, unsigned int most)
{
	uint64_t slot_hash = partition_mix(slot), own;
	unsigned int place = 0;

	if (member == ORDER_NO_MEMBER)
		return most;
	own = distance(member_hash(&order->members[member], slot_hash));
	for (size_t i = 0; i < order->count && place < most; i++)
		if (i != member)
			place += precedes(order, i, slot_hash, member, own);
	return place;
}

unsigned int order_place_behind(const struct order *order, uint32_t slot, size_t member,
				size_t first, unsigned int place, unsigned int most)
{
	uint64_t slot_hash = partition_mix(slot);

	if (member == ORDER_NO_MEMBER || first == ORDER_NO_MEMBER)
		return place;
	if (member == first)
		return 0;
	if (place == most)
		return most;
	return place + !precedes(order, first, slot_hash, member,
				 distance(member_hash(&order->members[member], slot_hash)));
}

size_t order_list(const struct order *order, uint32_t slot, size_t first, size_t *members,
		  size_t most)
{
	uint64_t slot_hash = partition_mix(slot);
	size_t count = 0, fixed = first != ORDER_NO_MEMBER && most > 0;

	if (fixed)
		members[count++] = first;
	for (size_t i = 0; i < order->count; i++) {
		size_t place = count;

		if (i == first || !order->members[i].weight)
			continue;
		while (place > fixed) {
			size_t other = members[place - 1];
			uint64_t hash = member_hash(&order->members[other], slot_hash);

			if (!precedes(order, i, slot_hash, other, distance(hash)))
				break;
			place--;
		}
		if (place == most)
			continue;
		count += count < most;
		memmove(members + place + 1, members + place,
			(count - place - 1) * sizeof(*members));
		members[place] = i;
	}
	return count;
}

void order_fill(const struct order *order, size_t member, unsigned int most,
		struct partition_line *lines)
{
	for (uint32_t slot = 0; slot < PARTITION_SLOTS; slot += 2) {
		unsigned int even = order_place(order, slot, member, most);
		unsigned int odd = order_place(order, slot + 1, member, most);

		lines[slot / PARTITION_LINE_SLOTS].places[slot % PARTITION_LINE_SLOTS / 2] =
			even | odd << 4;
	}
}

uint32_t order_url_slot(const struct order *order, const char *url, size_t length,
			struct url_key key)
{
	return partition_slot(
		partition_hash(order->seed, &key, (const __u8 *)url, (uint32_t)length));
}

uint32_t order_text_slot(const struct order *order, const char *text, size_t length)
{
	return partition_slot(hash_text(order->seed, text, length));
}
