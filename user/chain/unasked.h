/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds entries of prefix and exact policies that match no URL in the form in which caches ask for
 * it: with a scheme, scheme and host in lower case (RFC 3986, section 6.2.2.1), without the scheme's
 * default port, and with a path (6.2.3). Other clients may ask in other forms.
 */
#ifndef XDP_ICP_CHAIN_UNASKED_H
#define XDP_ICP_CHAIN_UNASKED_H

#include "policy/policy.h"

/* Such entries of a policy. */
struct unasked {
	size_t count;	 /* of them */
	size_t entries;	 /* of the policy */
	const char *why; /* of the first of them */
	char first[128]; /* that entry, printable; it may be cut */
};

/* A policy of another kind has no such entries. */
void policy_find_unasked(const struct policy *policy, struct unasked *unasked);

#endif
