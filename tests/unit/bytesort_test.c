// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/test.h"
#include "lib/bytesort.h"

#define COUNT 200

static int compare(const void *left, const void *right)
{
	const struct bytesort_item *a = left, *b = right;
	size_t common = a->length < b->length ? a->length : b->length;
	int order = memcmp(a->text, b->text, common);

	if (order == 0)
		order = (a->length > b->length) - (a->length < b->length);
	return order ? order : (a->number > b->number) - (a->number < b->number);
}

TEST(random_texts)
{
	static char storage[COUNT][30];
	uint64_t seed = 5;

	for (int round = 0; round < 3000; round++) {
		struct bytesort_item items[COUNT] = { { 0 } }, expected[COUNT];
		size_t count = random_below(&seed, COUNT + 1);
		uint32_t most = 1 + random_below(&seed, 30);

		for (size_t i = 0; i < count; i++) {
			uint32_t length = random_below(&seed, most);

			memset(storage[i], 'a', sizeof(storage[i]));
			for (uint32_t j = 0; j < length; j++)
				if (random_below(&seed, 3) == 0)
					storage[i][j] = "\0\1\xff\x80"[random_below(&seed, 4)];
			items[i] = (struct bytesort_item){
				.text = storage[i],
				.length = length,
				.number = round % 2 ? i : COUNT - i,
			};
		}
		memcpy(expected, items, sizeof(items));
		qsort(expected, count, sizeof(expected[0]), compare);
		bytesort(items, count);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(items[i].number, expected[i].number);
	}
}

TEST(many_equal_and_long_ones)
{
	static struct bytesort_item items[50000];
	char *text = malloc(65536);

	assert_non_null(text);
	memset(text, 'x', 65536);
	for (uint32_t i = 0; i < 50000; i++)
		items[i] =
			(struct bytesort_item){ .text = text, .length = 20, .number = 50000 - i };
	bytesort(items, 50000);
	for (uint32_t i = 0; i < 50000; i++)
		assert_int_equal(items[i].number, i + 1);
	for (uint32_t i = 0; i < 3; i++)
		items[i] = (struct bytesort_item){ .text = text, .length = 65536 - i, .number = i };
	bytesort(items, 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(items[i].number, 2 - i);
	free(text);
}
