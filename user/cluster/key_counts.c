// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "cluster/key_counts.h"
#include "lib/vec.h"
#include "partition.h"

#define INDEX_SIZE_FIRST 1024u /* a power of two, as all are */

void key_counts_free(struct key_counts *counts)
{
	free(counts->list);
	free(counts->texts);
	free(counts->index);
	*counts = (struct key_counts){ 0 };
}

/* Texts come from clients: a seed that they do not know keeps them from making all of them collide. */
static uint64_t hash(const struct key_counts *counts, const char *text, size_t length,
		     uint16_t first, uint16_t second)
{
	uint64_t sum = partition_mix((uintptr_t)counts ^ (uint64_t)length << 48 ^
				     (uint64_t)first << 16 ^ second);

	for (size_t i = 0; i < length; i += sizeof(uint64_t)) {
		uint64_t word = 0;

		memcpy(&word, text + i, length - i < sizeof(word) ? length - i : sizeof(word));
		sum = partition_mix(sum ^ word);
	}
	return sum;
}

static uint64_t hash_of(const struct key_counts *counts, const struct key_count *one)
{
	return hash(counts, counts->texts + one->text, one->length, one->first, one->second);
}

/* Return the place of a key in the table, or the free one where it would be. */
static uint32_t *find(const struct key_counts *counts, uint64_t hash_value, const char *text,
		      size_t length, uint16_t first, uint16_t second)
{
	for (size_t at = hash_value;; at++) {
		uint32_t *place = &counts->index[at & (counts->index_size - 1)];
		const struct key_count *one;

		if (!*place)
			return place;
		one = &counts->list[*place - 1];
		if (one->length == length && one->first == first && one->second == second &&
		    memcmp(counts->texts + one->text, text, length) == 0)
			return place;
	}
}

/* Double the table. -1: out of memory. */
static int grow(struct key_counts *counts)
{
	size_t size = counts->index_size ? 2 * counts->index_size : INDEX_SIZE_FIRST;
	uint32_t *larger = calloc(size, sizeof(*larger));

	if (!larger)
		return -1;
	free(counts->index);
	counts->index = larger;
	counts->index_size = size;
	for (size_t i = 0; i < counts->count; i++) {
		size_t at = hash_of(counts, &counts->list[i]);

		while (larger[at & (size - 1)])
			at++;
		larger[at & (size - 1)] = (uint32_t)i + 1;
	}
	return 0;
}

/* Make room for a text. -1: out of memory. */
static int make_room(struct key_counts *counts, size_t length)
{
	size_t room = counts->text_room;
	char *texts;

	while (room < counts->text_size + length)
		room = room ? 2 * room : 4096;
	if (room == counts->text_room)
		return 0;
	texts = realloc(counts->texts, room);
	if (!texts)
		return -1;
	counts->texts = texts;
	counts->text_room = room;
	return 0;
}

int key_counts_add(struct key_counts *counts, const char *text, size_t length, uint16_t first,
		   uint16_t second, struct error *error)
{
	uint64_t hash_value = hash(counts, text, length, first, second);
	struct key_count *added;
	uint32_t *place;

	if (2 * counts->count >= counts->index_size && grow(counts))
		return error_set(error, "out of memory");
	place = find(counts, hash_value, text, length, first, second);
	if (*place) {
		counts->list[*place - 1].requests++;
		return 0;
	}
	if (counts->count == KEY_COUNTS_MAX || counts->text_size + length > KEY_COUNTS_TEXT_MAX)
		return error_set(error,
				 "more than %u keys, or %u MiB of them; a key of fewer parts, such "
				 "as host+1, has fewer",
				 KEY_COUNTS_MAX, KEY_COUNTS_TEXT_MAX >> 20);
	added = make_room(counts, length) ? NULL : vec_append(counts->list, counts->count);
	if (!added)
		return error_set(error, "out of memory");
	*added = (struct key_count){
		.requests = 1,
		.text = (uint32_t)counts->text_size,
		.length = (uint32_t)length,
		.first = first,
		.second = second,
	};
	memcpy(counts->texts + counts->text_size, text, length);
	counts->text_size += length;
	*place = (uint32_t)counts->count;
	return 0;
}
