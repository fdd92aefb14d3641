// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The order of a cluster's members: against the definition in floating-point numbers, the shares, and
 * what a change of the members moves.
 */
#include <math.h>

#include "cluster/order.h"
#include "support/test.h"

/*
 * The manual has the same. All members compute it in all versions: a change here breaks a cluster of
 * both.
 */
TEST(vectors)
{
	static const struct {
		const char *text;
		uint32_t slot;
		const char *order;
	} vectors[] = {
		{ "", 602658, "acb" },
		{ "www.example.org/", 764165, "bac" },
		{ "www.example.org/docs/api/", 127528, "acb" },
		{ "http://www.example.org/a?b=c", 194665, "bca" },
	};
	static const char *const names[] = { "origin-a", "origin-b", "origin-c" };
	static const unsigned int weights[] = { 100, 200, 100 };
	struct order *order = order_new(order_seed("site"));

	for (size_t i = 0; i < 3; i++)
		assert_int_equal(order_add(order, names[i], weights[i]), 0);
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		char text[8] = "";
		size_t list[3];
		uint32_t slot = order_text_slot(order, vectors[i].text, strlen(vectors[i].text));

		assert_int_equal(order_list(order, slot, ORDER_NO_MEMBER, list, 3), 3);
		for (size_t k = 0; k < 3; k++)
			text[k] = names[list[k]][7];
		assert_int_equal(slot, vectors[i].slot);
		assert_string_equal(text, vectors[i].order);
	}
	order_free(order);
}

#define MEMBERS_MAX 60

struct cluster {
	struct order *order;
	size_t count;
	char names[MEMBERS_MAX][16];
	unsigned int weights[MEMBERS_MAX];
};

static void make(struct cluster *cluster, size_t left_out)
{
	order_free(cluster->order);
	cluster->order = order_new(order_seed("c"));
	for (size_t i = 0; i < cluster->count; i++)
		if (i != left_out)
			assert_int_equal(
				order_add(cluster->order, cluster->names[i], cluster->weights[i]),
				0);
}

static void make_random(struct cluster *cluster, uint64_t *seed, size_t count, bool weighted)
{
	cluster->count = count;
	for (size_t i = 0; i < count; i++) {
		sprintf(cluster->names[i], "m%02zu", i);
		cluster->weights[i] = weighted ? 1 + random_below(seed, ORDER_WEIGHT_MAX) : 100;
	}
	make(cluster, ORDER_NO_MEMBER);
}

static uint64_t slow_text(uint64_t seed, const char *text)
{
	size_t length = strlen(text);
	uint64_t sum = seed;

	for (size_t i = 0; i < length; i += 8) {
		uint64_t word = 0;

		for (size_t k = 0; k < 8 && i + k < length; k++)
			word |= (uint64_t)(uint8_t)text[i + k] << 8 * k;
		sum = (sum ^ word) * 0x9e3779b97f4a7c15;
	}
	return partition_mix(sum ^ length);
}

/* The score by the definition: the members' order is that of falling scores. */
static long double score(const struct cluster *cluster, size_t member, uint32_t slot)
{
	uint64_t seed = slow_text(slow_text(0, "c"), cluster->names[member]);
	uint64_t hash = partition_mix(seed ^ partition_mix(slot)) | 1;

	return cluster->weights[member] / -log2l(hash / 0x1p64L);
}

static unsigned int place_behind(const struct order *order, uint32_t slot, size_t member,
				 size_t first, unsigned int most)
{
	return order_place_behind(order, slot, member, first,
				  order_place(order, slot, member, most), most);
}

TEST(against_the_definition)
{
	struct cluster cluster = { 0 };
	uint64_t seed = 1998;

	for (int round = 0; round < 300; round++) {
		make_random(&cluster, &seed, 1 + random_below(&seed, MEMBERS_MAX), round % 3);
		for (int i = 0; i < 30; i++) {
			uint32_t slot = random_below(&seed, PARTITION_SLOTS);
			size_t list[MEMBERS_MAX], most = 1 + random_below(&seed, MEMBERS_MAX);
			size_t first = random_below(&seed, 2) ? ORDER_NO_MEMBER
							      : random_below(&seed, cluster.count);
			size_t count = order_list(cluster.order, slot, first, list, most);
			bool listed[MEMBERS_MAX] = { false };
			long double last = HUGE_VALL;

			assert_int_equal(count, most < cluster.count ? most : cluster.count);
			for (size_t k = 0; k < count; k++) {
				listed[list[k]] = true;
				assert_int_equal(
					place_behind(cluster.order, slot, list[k], first, most), k);
				if (list[k] == first) {
					assert_int_equal(k, 0);
					continue;
				}
				/* The table's steps are good for six digits. */
				assert_true(score(&cluster, list[k], slot) <= last * 1.000001L);
				last = score(&cluster, list[k], slot);
			}
			for (size_t k = 0; k < cluster.count; k++)
				if (!listed[k]) {
					assert_true(score(&cluster, k, slot) <= last * 1.000001L ||
						    count == 1);
					assert_int_equal(
						place_behind(cluster.order, slot, k, first, most),
						most);
				}
		}
	}
	order_free(cluster.order);
}

/* Equal scores, as of equal hashes, are in the order of names: members with one name show it. */
TEST(equal_scores)
{
	struct order *order = order_new(1);
	size_t list[3];

	for (int i = 0; i < 3; i++)
		assert_int_equal(order_add(order, "same", 7), 0);
	assert_int_equal(order_list(order, 5, ORDER_NO_MEMBER, list, 3), 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(list[i], i);
		assert_int_equal(order_place(order, 5, i, 9), i);
	}
	order_free(order);
}

/* It changes nothing for the others. */
TEST(a_member_without_weight)
{
	struct order *without = order_new(order_seed("c")), *with = order_new(order_seed("c"));
	size_t expected[2], list[3];

	order_add(without, "a", 100);
	order_add(without, "c", 300);
	order_add(with, "a", 100);
	order_add(with, "b", 0);
	order_add(with, "c", 300);
	for (uint32_t slot = 0; slot < 1000; slot++) {
		assert_int_equal(order_list(without, slot, ORDER_NO_MEMBER, expected, 2), 2);
		assert_int_equal(order_list(with, slot, ORDER_NO_MEMBER, list, 3), 2);
		for (size_t i = 0; i < 2; i++) {
			assert_int_equal(list[i], 2 * expected[i]);
			assert_int_equal(order_place(with, slot, list[i], 3), i);
		}
	}
	order_free(without);
	order_free(with);
}

static size_t owner_of(const struct order *order, uint32_t slot)
{
	size_t owner = ORDER_NO_MEMBER;

	order_list(order, slot, ORDER_NO_MEMBER, &owner, 1);
	return owner;
}

#define URLS 1000000

static uint32_t slot_of_url(const struct order *order, int number)
{
	char url[64];

	return order_text_slot(order, url, sprintf(url, "www.example.org/docs/%d/", number));
}

/* Of a million keys each member owns its share, and a member that leaves moves no others. */
TEST(shares_and_moves)
{
	static uint8_t before[URLS];
	static const size_t counts[] = { 3, 10, 50 };
	struct cluster cluster = { 0 };
	uint64_t seed = 4;

	for (size_t c = 0; c < 3; c++) {
		size_t count = counts[c], leaver = random_below(&seed, count), moved = 0;
		unsigned int owned[MEMBERS_MAX] = { 0 }, heirs[MEMBERS_MAX] = { 0 }, total = 0;

		make_random(&cluster, &seed, count, false);
		for (size_t i = 0; i < count; i++) {
			cluster.weights[i] = i % 2 ? 100 : 200;
			total += cluster.weights[i];
		}
		cluster.weights[leaver] = 100;
		make(&cluster, ORDER_NO_MEMBER);
		for (int i = 0; i < URLS; i++) {
			before[i] = owner_of(cluster.order, slot_of_url(cluster.order, i));
			owned[before[i]]++;
		}
		total = 0;
		for (size_t i = 0; i < count; i++)
			total += cluster.weights[i];
		for (size_t i = 0; i < count; i++) {
			double share = (double)cluster.weights[i] / total * URLS;

			assert_true(fabs(owned[i] - share) < 0.06 * share);
		}
		make(&cluster, leaver);
		for (int i = 0; i < URLS; i++) {
			size_t after = owner_of(cluster.order, slot_of_url(cluster.order, i));

			after += after >= leaver;
			if (after == before[i])
				continue;
			assert_int_equal(before[i], leaver);
			heirs[after]++;
			moved++;
		}
		assert_int_equal(moved, owned[leaver]);
		assert_true(moved <= URLS / count + URLS / 100);
		/* All others inherit. */
		for (size_t i = 0; i < count; i++)
			assert_true(i == leaver ? heirs[i] == 0 : heirs[i] > 0);
	}
	order_free(cluster.order);
}

static unsigned int place_in(const struct partition_line *table, uint32_t slot)
{
	return partition_place(&table[slot / PARTITION_LINE_SLOTS], slot);
}

TEST(table)
{
	static struct partition_line table[PARTITION_LINES];
	struct cluster cluster = { 0 };
	uint64_t seed = 5;
	unsigned int places[4] = { 0 };

	make_random(&cluster, &seed, 12, true);
	order_fill(cluster.order, 3, 3, table);
	for (uint32_t slot = 0; slot < PARTITION_SLOTS; slot += slot < 64 ? 1 : 97) {
		unsigned int place = place_in(table, slot);

		assert_int_equal(place, order_place(cluster.order, slot, 3, 3));
		places[place]++;
	}
	for (int i = 0; i < 4; i++)
		assert_true(places[i] > 0);
	order_fill(cluster.order, ORDER_NO_MEMBER, PARTITION_DEPTH_MAX, table);
	for (uint32_t slot = 0; slot < PARTITION_SLOTS; slot += 97)
		assert_int_equal(place_in(table, slot), PARTITION_DEPTH_MAX);
	order_free(cluster.order);
}

TEST(many_members)
{
	struct order *order = order_new(order_seed("many"));
	static struct partition_line table[PARTITION_LINES];
	size_t owned = 0;

	for (unsigned int i = 0; i < ORDER_MEMBERS_MAX; i++)
		assert_int_equal(order_add(order, formatted("m%05u", i), 1), 0);
	assert_int_equal(order_add(order, "z", 1), -1);
	order_fill(order, 77, 3, table);
	for (uint32_t slot = 0; slot < PARTITION_SLOTS; slot++)
		owned += place_in(table, slot) == 0;
	/* About a hundred: the share of one in ten thousand. */
	assert_in_range(owned, 60, 150);
	order_free(order);
}
