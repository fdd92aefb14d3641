/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds entries of policies that decide nothing: wherever they match, an earlier policy matches as
 * well. Texts of the same reading of the URL and networks are compared, not patterns.
 */
#ifndef XDP_ICP_CHAIN_SHADOW_H
#define XDP_ICP_CHAIN_SHADOW_H

#include "chain/chain.h"

/* The entries of a policy that decide nothing. */
struct shadow {
	size_t count;		 /* of them */
	size_t entries;		 /* of the policy */
	const struct policy *by; /* the earlier policy that the first of them is shadowed by */
	char first[128];	 /* that entry, printable; it may be cut */
};

/*
 * Fill an array of chain_count() shadows, by rank. A policy of another kind, or with `not`, has no
 * entries. Returns -1 with an error: out of memory.
 */
int chain_find_shadows(const struct chain *chain, struct shadow *shadows, struct error *error);

#endif
