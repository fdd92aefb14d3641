// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Multikey quicksort (Bentley and Sedgewick) with seven bytes of the text cached in the item: the
 * text itself is read again only for items that are equal in them.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/bytesort.h"

#define KEY_BYTES 7
#define MORE (KEY_BYTES + 1)

/*
 * Return the bytes of a text from `depth` on as a number that compares like them. Its lowest byte
 * is their count, or MORE if the text continues.
 */
static uint64_t key_at(const struct bytesort_item *item, size_t depth)
{
	size_t left = item->length - depth;
	uint64_t key = 0;

	for (size_t i = 0; i < KEY_BYTES; i++)
		key = key << 8 | (i < left ? (uint8_t)item->text[depth + i] : 0);
	return key << 8 | (left < MORE ? left : MORE);
}

static void swap(struct bytesort_item *a, struct bytesort_item *b)
{
	struct bytesort_item c = *a;

	*a = *b;
	*b = c;
}

static uint64_t median(uint64_t a, uint64_t b, uint64_t c)
{
	if (a > b)
		return median(b, a, c);
	if (c <= a)
		return a;
	return c < b ? c : b;
}

static int compare_numbers(const void *left, const void *right)
{
	const struct bytesort_item *a = left, *b = right;

	return (a->number > b->number) - (a->number < b->number);
}

static void sort_at(struct bytesort_item *items, size_t count, size_t depth);

/* Sort items that are equal up to `depth` and in the seven bytes from there. */
static void sort_equal(struct bytesort_item *items, size_t count, size_t depth)
{
	if (count < 2)
		return;
	if ((items[0].key & 0xff) != MORE) {
		qsort(items, count, sizeof(*items), compare_numbers);
		return;
	}
	for (size_t i = 0; i < count; i++)
		items[i].key = key_at(&items[i], depth + KEY_BYTES);
	sort_at(items, count, depth + KEY_BYTES);
}

/* Sort items that are equal in their first `depth` bytes. */
static void sort_at(struct bytesort_item *items, size_t count, size_t depth)
{
	while (count > 1) {
		uint64_t pivot = median(items[0].key, items[count / 2].key, items[count - 1].key);
		size_t less = 0;	/* end of the smaller items */
		size_t greater = count; /* begin of the larger ones */

		for (size_t i = 0; i < greater;) {
			if (items[i].key < pivot)
				swap(&items[i++], &items[less++]);
			else if (items[i].key > pivot)
				swap(&items[i], &items[--greater]);
			else
				i++;
		}
		sort_equal(items + less, greater - less, depth);
		/* Recurse into the smaller side only: the stack stays small. */
		if (less < count - greater) {
			sort_at(items, less, depth);
			items += greater;
			count -= greater;
		} else {
			sort_at(items + greater, count - greater, depth);
			count = less;
		}
	}
}

void bytesort(struct bytesort_item *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		items[i].key = key_at(&items[i], 0);
	sort_at(items, count, 0);
}
