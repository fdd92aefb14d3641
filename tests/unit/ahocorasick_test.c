// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/test.h"
#include "lib/ahocorasick.h"

static size_t naive_first(const char *const *texts, const size_t *lengths, size_t count,
			  const char *text, size_t length)
{
	for (size_t i = 0; i < count; i++)
		if (lengths[i] == 0 || memmem(text, length, texts[i], lengths[i]))
			return i;
	return AHOCORASICK_NONE;
}

TEST(random_texts)
{
	uint64_t seed = 7;

	for (int round = 0; round < 2000; round++) {
		char storage[30][6];
		const char *texts[30];
		size_t lengths[30], count = random_below(&seed, 31);
		struct ahocorasick *search;

		for (size_t i = 0; i < count; i++) {
			/* Rarely an empty one: it is found everywhere. */
			lengths[i] = random_below(&seed, 40) ? 1 + random_below(&seed, 6) : 0;
			for (size_t j = 0; j < lengths[i]; j++)
				storage[i][j] = "abc\xff"[random_below(&seed, 4)];
			texts[i] = storage[i];
		}
		search = ahocorasick_new(texts, lengths, count);
		assert_non_null(search);
		for (int i = 0; i < 50; i++) {
			char text[20];
			size_t length = random_below(&seed, sizeof(text) + 1);

			for (size_t j = 0; j < length; j++)
				text[j] = "abc\xff"[random_below(&seed, 4)];
			assert_int_equal(ahocorasick_first(search, text, length),
					 naive_first(texts, lengths, count, text, length));
		}
		ahocorasick_free(search);
	}
}

static size_t first(const char *const *texts, size_t count, const char *text)
{
	size_t lengths[8], result;
	struct ahocorasick *search;

	for (size_t i = 0; i < count; i++)
		lengths[i] = strlen(texts[i]);
	search = ahocorasick_new(texts, lengths, count);
	result = ahocorasick_first(search, text, strlen(text));
	ahocorasick_free(search);
	return result;
}

TEST(the_first_listed_of_those_found)
{
	static const char *const texts[] = { "hers", "she", "he", "she" };

	assert_int_equal(first(texts, 4, "ushers"), 0);
	assert_int_equal(first(texts, 4, "usher"), 1);
	assert_int_equal(first(texts, 4, "her"), 2);
	assert_int_equal(first(texts, 4, "hr"), AHOCORASICK_NONE);
	assert_int_equal(first(texts, 0, "hr"), AHOCORASICK_NONE);
}

TEST(a_suffix_within_a_longer_text)
{
	static const char *const texts[] = { "abcde", "bcd", "c" };

	assert_int_equal(first(texts, 3, "abcd"), 1);
	assert_int_equal(first(texts, 3, "abcx"), 2);
	assert_int_equal(first(texts, 3, "abcde"), 0);
	assert_int_equal(first(texts, 3, "ababcde"), 0);
}
