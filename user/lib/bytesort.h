/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sorts many texts by their unsigned bytes, a prefix before what it is a prefix of. A million URLs
 * take less than a second: qsort() takes several, for nearly each of its comparisons waits for
 * two texts that lie somewhere in memory.
 */
#ifndef XDP_ICP_BYTESORT_H
#define XDP_ICP_BYTESORT_H

#include <stddef.h>
#include <stdint.h>

struct bytesort_item {
	uint64_t key; /* bytesort()'s own */
	const char *text;
	uint32_t length; /* bytes; NULs may be among them */
	uint32_t number; /* the caller's; equal texts are sorted by it */
};

void bytesort(struct bytesort_item *items, size_t count);

#endif
