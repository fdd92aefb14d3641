/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sort texts by their unsigned bytes, a prefix before longer texts. A million URLs take less than a
 * second; qsort() takes several, since nearly each comparison misses the cache for both texts.
 */
#ifndef XDP_ICP_BYTESORT_H
#define XDP_ICP_BYTESORT_H

#include <stddef.h>
#include <stdint.h>

struct bytesort_item {
	uint64_t key; /* used by bytesort() alone */
	const char *text;
	uint32_t length; /* bytes; may contain NULs */
	uint32_t number; /* set by the caller; equal texts are sorted by it */
};

void bytesort(struct bytesort_item *items, size_t count);

#endif
