/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flattens the policies that look for texts at the beginning of the same reading of the URL into one
 * set of texts, of which the longest match alone decides.
 */
#ifndef XDP_ICP_CHAIN_FLATTEN_H
#define XDP_ICP_CHAIN_FLATTEN_H

#include "chain/tree.h"
#include "maps.h"

/* How the answer of a text follows from the texts on the path to it. */
enum flatten_rule {
	FLATTEN_LONGEST, /* of each policy's the longest text's, and of these the first policy's */
	FLATTEN_FIRST,	 /* the least of all */
	FLATTEN_ALL,	 /* the union of all, which are sets of bits, not answers */
};

/*
 * Answers and the policies that they belong to, in the order of ranks: answers[i] is the answer
 * i + 1.
 */
struct flatten_answers {
	const struct prefix_answer *answers;
	const bool *negated;	     /* of the same indices: the policy has `not` */
	const uint16_t *complements; /* the answers of those policies, in ascending order */
	size_t complement_count;
	enum flatten_rule rule;
};

/*
 * Write one entry for each text that changes the verdict to `flat`, which has room for `count` + 1.
 * `entries` are the texts of all policies, sorted by text, then by answer; the answer of a text of a
 * policy with `not` is that of the policy, except with FLATTEN_ALL. A PREFIX_NO_ANSWER in the
 * result says that none of the policies matches. Returns the number of entries, sorted for
 * prefix_tree_build().
 */
size_t flatten(struct prefix_entry *flat, const struct prefix_entry *entries, size_t count,
	       const struct flatten_answers *answers);

#endif
