/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The form of a compiled chain in the kernel's maps. */
#ifndef XDP_ICP_CHAIN_IMAGE_H
#define XDP_ICP_CHAIN_IMAGE_H

#include "chain/compile.h"

/* The place of a chain in the maps. Indices count from the beginning of the map. */
struct image_place {
	struct prefix_bucket *buckets; /* chain_image_buckets() */
	struct prefix_line *lines;     /* as many as the size is made for */
	__u32 first_bucket;
	__u32 first_line;
	__u32 first_answer;
};

/* The number of buckets that suffices for any chain whose texts take this many lines. */
size_t chain_image_buckets(size_t lines);

/*
 * Fill `chain` except for its generation, lease and answer_request_zero, and write the trees of all
 * readings, one after the other. Answers and sources are left to the caller. Returns 0, or -1 with
 * errno as prefix_tree_build().
 */
int chain_image_write(struct map_chain *chain, const struct compiled *compiled,
		      const struct image_place *place);

#endif
