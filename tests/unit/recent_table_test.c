// SPDX-License-Identifier: GPL-2.0-or-later
/* The table of keys that the kernel reads (recent/table.h), and how it is read (include/recent.h). */
#include "recent/table.h"
#include "support/test.h"

#define HOMES 64u
#define SLOTS RECENT_SLOTS(HOMES)
#define STORE 7u
#define NOW 1000u

static struct recent_slot slots[SLOTS];
static const struct recent_table table = { slots, HOMES };

static const struct recent_slot *slot_at(void *array, __u32 index)
{
	return index < SLOTS ? &slots[index] : NULL;
}

/* The key `number`, of 1 to RECENT_TEXT_MAX bytes, with this home. */
static struct recent_query make_key(unsigned int number, uint32_t home)
{
	struct recent_query key = { .store = STORE, .length = 1 + number % RECENT_TEXT_MAX };
	uint64_t hash = ((uint64_t)home << 32) / HOMES;

	memcpy(key.key, formatted("%0*u", (int)key.length, number), key.length);
	key.hash = (hash + 1) << 32 | (uint32_t)(number * 2654435761u);
	assert_int_equal(prefix_home(key.hash, HOMES), home);
	return key;
}

static bool put(const struct recent_query *key, uint64_t expires)
{
	return recent_table_put(&table, key, expires);
}

static void drop(const struct recent_query *key)
{
	recent_table_remove(&table, key);
}

static enum recent_found find(struct recent_query *key)
{
	return recent_find(HOMES, key, NOW, slot_at, NULL);
}

static size_t used(void)
{
	size_t count = 0;

	for (size_t i = 0; i < SLOTS; i++)
		count += slots[i].seal != 0;
	return count;
}

static void clear(const uint32_t *kept)
{
	uint32_t end = SLOTS;

	while (end)
		end = recent_table_clear(&table, end, 3, kept);
}

static void clear_all(void)
{
	static const uint32_t none[1];

	clear(none);
}

TEST(expiry)
{
	struct recent_query key = make_key(1, 0);

	assert_int_equal(find(&key), RECENT_ABSENT);
	assert_true(put(&key, NOW));
	assert_int_equal(find(&key), RECENT_ABSENT);
	assert_true(put(&key, NOW + 1));
	assert_int_equal(find(&key), RECENT_THERE);
	assert_int_equal(used(), 1);
	drop(&key);
	drop(&key);
	assert_int_equal(find(&key), RECENT_ABSENT);
	assert_int_equal(used(), 0);
}

/* All keys have the last home: the table's end is theirs as well, and no more. */
TEST(the_longest_reach)
{
	struct recent_query keys[RECENT_REACH_MAX + 2];
	const struct recent_slot *home = &slots[HOMES - 1];

	for (unsigned int i = 0; i < RECENT_REACH_MAX + 2; i++) {
		keys[i] = make_key(i, HOMES - 1);
		assert_int_equal(put(&keys[i], NOW + 1), i <= RECENT_REACH_MAX);
	}
	for (unsigned int i = 0; i <= RECENT_REACH_MAX; i++)
		assert_int_equal(find(&keys[i]), RECENT_THERE);
	assert_int_equal(find(&keys[RECENT_REACH_MAX + 1]), RECENT_ABSENT);
	drop(&keys[3]);
	assert_int_equal(home->reach, RECENT_REACH_MAX);
	assert_true(put(&keys[RECENT_REACH_MAX + 1], NOW + 1));
	assert_int_equal(find(&keys[RECENT_REACH_MAX + 1]), RECENT_THERE);
	for (unsigned int i = RECENT_REACH_MAX; i >= 10; i--)
		drop(&keys[i]);
	assert_int_equal(home->reach, 9);
	clear_all();
	assert_int_equal(home->reach, 0);
	assert_int_equal(used(), 0);
}

/* A key whose tag is another's is not told apart from one that is being overwritten. */
TEST(keys_of_one_tag)
{
	struct recent_query key = make_key(200, 5), other = make_key(201, 5);

	other.hash = key.hash + 2;
	put(&key, NOW + 1);
	assert_int_equal(find(&other), RECENT_ABSENT);
	other.hash = key.hash;
	assert_int_equal(find(&other), RECENT_UNKNOWN);
	other = key;
	other.store++;
	assert_int_equal(find(&other), RECENT_UNKNOWN);
	put(&other, NOW + 1);
	assert_int_equal(used(), 2);
	drop(&other);
	assert_int_equal(find(&key), RECENT_THERE);
	clear_all();
}

TEST(other_stores_are_cleared)
{
	static const uint32_t kept[2] = { STORE };
	struct recent_query keys[10];

	for (unsigned int i = 0; i < 10; i++) {
		keys[i] = make_key(i, i / 5);
		keys[i].store += i % 5 != 2;
		put(&keys[i], NOW + 1);
	}
	clear(kept);
	assert_int_equal(used(), 2);
	for (unsigned int i = 0; i < 10; i++)
		assert_int_equal(find(&keys[i]), i % 5 == 2 ? RECENT_THERE : RECENT_ABSENT);
	assert_int_equal(slots[0].reach, 2);
	clear_all();
	assert_int_equal(slots[0].reach, 0);
}

/* What is there is found, with its time, whatever was put and removed before. */
TEST(at_random)
{
	enum {
		KEYS = 70,
		STEPS = 200000
	};
	uint64_t random = 1, expires[KEYS] = { 0 };
	struct recent_query keys[KEYS];
	size_t there = 0;

	for (unsigned int i = 0; i < KEYS; i++)
		keys[i] = make_key(i, random_below(&random, random_below(&random, HOMES) + 1));
	for (int i = 0; i < STEPS; i++) {
		unsigned int changed = random_below(&random, KEYS), asked;

		there -= expires[changed] != 0;
		if (random_below(&random, 2)) {
			expires[changed] = NOW - 2 + random_below(&random, 6);
			assert_true(put(&keys[changed], expires[changed]));
		} else {
			expires[changed] = 0;
			drop(&keys[changed]);
		}
		there += expires[changed] != 0;
		asked = random_below(&random, KEYS);
		assert_int_equal(find(&keys[asked]),
				 expires[asked] > NOW ? RECENT_THERE : RECENT_ABSENT);
		assert_int_equal(used(), there);
	}
	clear_all();
}
