/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A chain as the kernel's maps have it, but in memory, and the kernel's decisions by it. */
#ifndef XDP_ICP_TEST_IMAGES_H
#define XDP_ICP_TEST_IMAGES_H

#include "chain/image.h"
#include "decide.h"
#include "support/test.h"

struct image {
	struct map_chain chain;
	struct compiled *compiled;
	struct prefix_bucket *buckets;
	struct prefix_line *lines;
	unsigned int turned; /* readings but URL_FORWARD that were looked up */
};

/* Compile the chain, which must outlive the image. Memory that is not written holds garbage. */
void image_build(struct image *image, const struct chain *chain);
void image_free(struct image *image);

/* Return the program's decision, without rules, gates and remembered verdicts. */
struct decision image_decide(struct image *image, const char *url, size_t length);

#endif
