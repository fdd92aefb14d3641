/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many requests there are for each of many keys: a hash table of texts, each with two numbers that
 * are part of it. Once all are counted, the list may be sorted.
 */
#ifndef XDP_ICP_CLUSTER_KEY_COUNTS_H
#define XDP_ICP_CLUSTER_KEY_COUNTS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

/* Bounds; what exceeds them is an error. */
#define KEY_COUNTS_MAX 10000000u
#define KEY_COUNTS_TEXT_MAX (1u << 30) /* bytes of all keys */

struct key_count {
	uint64_t requests;
	uint32_t text; /* where in `texts` it begins */
	uint32_t length : 16;
	uint32_t first : 16, second : 16;
};

/* All zero: nothing is counted. */
struct key_counts {
	struct key_count *list;
	size_t count;
	char *texts;
	size_t text_size, text_room;
	uint32_t *index; /* hash table of numbers in the list, from 1; 0: free */
	size_t index_size;
};

void key_counts_free(struct key_counts *counts);

/* Count a request. `length` is at most 65535. -1 with an error: out of memory, or a bound is exceeded. */
int key_counts_add(struct key_counts *counts, const char *text, size_t length, uint16_t first,
		   uint16_t second, struct error *error);

#endif
