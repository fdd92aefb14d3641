/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The part of compile.c about policies that are texts: of each reading one set, of which one decides. */
#ifndef XDP_ICP_COMPILE_TEXTS_H
#define XDP_ICP_COMPILE_TEXTS_H

#include "chain/compile.h"
#include "chain/flatten.h"

/* The texts of one reading while they are collected. */
struct text_collection {
	struct prefix_entry *entries, *spare; /* of the same size */
	size_t count;
	size_t *ends; /* of each policy's sorted run of entries */
	size_t runs;
	uint16_t *complements; /* as in struct flatten_answers */
	size_t complement_count;
};

struct compile_texts {
	struct text_collection readings[URL_READINGS];
	bool negated[ANSWERS_MAX]; /* as in struct flatten_answers */
};

/*
 * Begin to collect the texts of the first `policies` of a chain. Returns -1: out of memory; in either case
 * compile_texts_free() must follow.
 */
int compile_texts_open(struct compile_texts *texts, const struct chain *chain, size_t policies);

/* The lines that the texts of a policy take at most: those of other policies may be the same. */
size_t compile_texts_lines(const struct policy *policy);

/*
 * Add a policy; what is no text is left out. Returns -1, and the reason in `compiled`, with nothing changed:
 * no room for its answers.
 */
int compile_texts_add(struct compile_texts *texts, struct compiled *compiled,
		      const struct policy *policy, __u32 rank);

/* Fill compiled->texts. */
void compile_texts_finish(struct compile_texts *texts, struct compiled *compiled);

void compile_texts_free(struct compile_texts *texts);

#endif
