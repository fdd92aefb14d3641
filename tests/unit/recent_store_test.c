// SPDX-License-Identifier: GPL-2.0-or-later
/* The store of the kind recent: expiry, bounds, and random changes against a plain list. */
#include <pthread.h>
#include <stdatomic.h>

#include "recent/store.h"
#include "support/test.h"

#define SECOND 1000000000ull

/* A key of a text; the last one alone is valid. */
static struct recent_key key_of(const char *text)
{
	static text_word words[1024];

	memset(words, 0, sizeof(words));
	memcpy(words, text, strlen(text));
	return (struct recent_key){ words, strlen(text) };
}

static void put(struct recent_store *store, const char *text, uint64_t expires, uint64_t now)
{
	assert_true(recent_store_put(store, key_of(text), expires, now));
}

static bool has(struct recent_store *store, const char *text, uint64_t now)
{
	return recent_store_has(store, key_of(text), now);
}

TEST(keys_expire_to_the_nanosecond)
{
	struct recent_store *store = recent_store_new(10, 100);

	assert_false(has(store, "a", 0));
	put(store, "a", 15 * SECOND, 5 * SECOND);
	assert_true(has(store, "a", 15 * SECOND - 1));
	assert_false(has(store, "a", 15 * SECOND));
	assert_false(has(store, "b", 5 * SECOND));
	put(store, "a", 14 * SECOND, 6 * SECOND); /* changes nothing */
	assert_true(has(store, "a", 15 * SECOND - 1));
	put(store, "a", 16 * SECOND, 6 * SECOND);
	assert_true(has(store, "a", 16 * SECOND - 1));
	assert_int_equal(recent_store_usage(store).entries, 1);
	assert_int_equal(recent_store_expire(store, 16 * SECOND - 1, 10), 0);
	assert_int_equal(recent_store_expire(store, 16 * SECOND, 10), 1);
	assert_int_equal(recent_store_usage(store).entries, 0);
	assert_int_equal(recent_store_usage(store).bytes, 0);
	recent_store_unref(store);
}

TEST(keys_are_compared)
{
	struct recent_store *store = recent_store_new(10, 100);
	char text[600];

	/* Of one length around the blocks that are hashed, and differing in one byte. */
	for (size_t length = 1; length < sizeof(text); length += length < 40 ? 1 : 37) {
		memset(text, 'x', length);
		text[length] = '\0';
		put(store, text, 20 * SECOND, 11 * SECOND);
		assert_true(has(store, text, 12 * SECOND));
		for (size_t i = 0; i < length; i += 1 + length / 8) {
			text[i] = 'y';
			assert_false(has(store, text, 12 * SECOND));
			text[i] = 'x';
		}
		assert_true(recent_store_remove(store, key_of(text), 12 * SECOND));
		assert_false(recent_store_remove(store, key_of(text), 12 * SECOND));
		assert_false(has(store, text, 12 * SECOND));
	}
	recent_store_unref(store);
}

TEST(what_expires_first_makes_room)
{
	struct recent_store *store = recent_store_new(100, 3);

	put(store, "c", 130 * SECOND, 100 * SECOND);
	put(store, "a", 110 * SECOND, 100 * SECOND);
	put(store, "b", 120 * SECOND, 100 * SECOND);
	put(store, "d", 140 * SECOND, 100 * SECOND);
	assert_false(has(store, "a", 100 * SECOND));
	assert_true(has(store, "b", 100 * SECOND));
	put(store, "b", 150 * SECOND, 100 * SECOND);
	put(store, "e", 145 * SECOND, 100 * SECOND);
	assert_false(has(store, "c", 100 * SECOND));
	assert_true(has(store, "b", 100 * SECOND));
	assert_int_equal(recent_store_usage(store).entries, 3);
	assert_int_equal(recent_store_usage(store).evicted, 2);
	recent_store_unref(store);
}

TEST(bytes_are_bounded)
{
	struct recent_store *store = recent_store_new(100, 1000);
	struct recent_usage usage;
	char text[8000];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < 200; i++) {
		memcpy(text, &(char[]){ 'a' + i % 26, 'a' + i / 26 }, 2);
		put(store, text, (200 + i / 4) * SECOND, 199 * SECOND);
		usage = recent_store_usage(store);
		assert_true(usage.bytes <= usage.bytes_max);
		assert_true(has(store, text, 199 * SECOND));
	}
	assert_true(usage.evicted > 100);
	recent_store_unref(store);
}

/* A thread that has not removed what is due for hours. */
TEST(expiry_may_be_late)
{
	struct recent_store *store = recent_store_new(1, 5000);
	char text[32];

	for (int i = 0; i < 20000; i++) {
		uint64_t now = i * SECOND;

		snprintf(text, sizeof(text), "%d", i % 3000);
		put(store, text, now + SECOND, now);
		assert_true(has(store, text, now));
		assert_false(has(store, text, now + SECOND));
	}
	assert_true(recent_store_usage(store).entries < 10);
	/* After a pause, all go whose lists later seconds use again, not only as many as a put removes. */
	for (int i = 0; i < 20; i++) {
		snprintf(text, sizeof(text), "%d", i);
		put(store, text, 30001 * SECOND, 30000 * SECOND);
	}
	put(store, "last", 1000000 * SECOND, 999999 * SECOND);
	assert_int_equal(recent_store_usage(store).entries, 1);
	recent_store_unref(store);
}

struct told {
	char text[256];
	int left;
};

static bool tell(void *context, const char *key, size_t length, uint64_t expires)
{
	struct told *told = context;
	size_t used = strlen(told->text);

	snprintf(told->text + used, sizeof(told->text) - used, "%.*s@%d ", (int)length, key,
		 (int)(expires / SECOND));
	return --told->left > 0;
}

TEST(a_list_begins_with_the_last)
{
	struct recent_store *store = recent_store_new(100, 10);
	struct told told = { .left = 10 }, some = { .left = 2 };

	put(store, "b", 120 * SECOND, 100 * SECOND);
	put(store, "a", 110 * SECOND, 100 * SECOND);
	put(store, "c", 130 * SECOND, 100 * SECOND);
	put(store, "d", 130 * SECOND, 100 * SECOND);
	recent_store_list(store, 110 * SECOND, tell, &told);
	assert_string_equal(told.text, "d@130 c@130 b@120 ");
	recent_store_list(store, 110 * SECOND, tell, &some);
	assert_string_equal(some.text, "d@130 c@130 ");
	/* Some of those that expire in this second have expired. */
	put(store, "e", 130 * SECOND + 2, 100 * SECOND);
	told.text[0] = '\0';
	recent_store_list(store, 130 * SECOND + 1, tell, &told);
	assert_string_equal(told.text, "e@130 ");
	recent_store_unref(store);
}

/* --- at random */

#define KEYS 400
#define STEPS 200000

static void name_key(uint32_t number, char text[32])
{
	snprintf(text, 32, "www%u.example.org/%u/", number % 7, number);
}

TEST(random_changes)
{
	struct recent_store *store = recent_store_new(20, KEYS);
	uint64_t expires[KEYS] = { 0 }, random = 1, now = 100 * SECOND;
	char text[32];

	for (int step = 0; step < STEPS; step++) {
		uint32_t i = random_below(&random, KEYS), what = random_below(&random, 10);
		uint64_t later = now + 1 + random_below(&random, 20) * SECOND;
		bool valid = now < expires[i];

		name_key(i, text);
		assert_int_equal(has(store, text, now), valid);
		if (what == 0) {
			assert_int_equal(recent_store_remove(store, key_of(text), now), valid);
			expires[i] = 0;
		} else if (what < 4) {
			put(store, text, later, now);
			if (later > expires[i])
				expires[i] = later;
		} else if (what == 4) {
			recent_store_expire(store, now, random_below(&random, 20));
		}
		now += random_below(&random, 40000000);
	}
	recent_store_unref(store);
}

/* --- readers beside the writer */

struct reading {
	struct recent_store *store;
	atomic_bool end;
	uint64_t found;
};

static void *read_keys(void *context)
{
	struct reading *reading = context;
	text_word words[3] = { 0 };
	uint64_t state = 2;

	while (!reading->end) {
		uint32_t number = random_below(&state, 1000);

		words[0] = number;
		/* Even ones are never removed. */
		if (recent_store_has(reading->store, (struct recent_key){ words, 8 }, 1))
			reading->found++;
		else if (number % 2 == 0)
			break;
	}
	return (void *)(uintptr_t)reading->end;
}

TEST(lookups_beside_changes)
{
	struct reading reading = { .store = recent_store_new(1000, 2000) };
	text_word words[3] = { 0 };
	struct recent_key key = { words, 8 };
	uint64_t random = 3;
	pthread_t thread;
	void *ended;

	for (uint32_t i = 0; i < 1000; i++) {
		words[0] = i;
		recent_store_put(reading.store, key, 2 + i, 1);
	}
	assert_int_equal(pthread_create(&thread, NULL, read_keys, &reading), 0);
	for (int i = 0; i < 300000; i++) {
		words[0] = random_below(&random, 1000);
		if (words[0] % 2 == 0 || i % 3)
			recent_store_put(reading.store, key, 2000 + i, 1);
		else
			recent_store_remove(reading.store, key, 1);
	}
	reading.end = true;
	pthread_join(thread, &ended);
	assert_non_null(ended);
	assert_true(reading.found > 0);
	recent_store_unref(reading.store);
}
