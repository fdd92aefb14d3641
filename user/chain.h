/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chain: all policies in the byte order of their names. The first that gives a verdict
 * decides; if none does, the default. The chain asks nobody for the time and opens no sockets.
 *
 * A chain may be asked by one thread at a time: a regex keeps its working memory.
 */
#ifndef XDP_ICP_CHAIN_H
#define XDP_ICP_CHAIN_H

#include <stddef.h>

#include "config.h"
#include "error.h"
#include "icp.h"
#include "policy.h"
#include "query.h"

struct chain;

struct chain_decision {
	struct icp_verdict verdict;
	const struct policy *policy; /* that decided; NULL: the default */
	unsigned int gave_up;	     /* policies that stopped at a limit, for FAILED_LIMIT */
};

/*
 * Makes the policies of a configuration and reads their files. The chain does not refer to the
 * configuration afterwards. -1 with an error that names the place.
 */
int chain_create(const struct config *config, struct chain **chain, struct error *error);

/* `chain` may be NULL. */
void chain_free(struct chain *chain);

/* The answer to a query. */
struct chain_decision chain_decide(const struct chain *chain, const struct query *query);

/* The number of policies, and the policy of a rank from 0 to that number less one. */
size_t chain_count(const struct chain *chain);
const struct policy *chain_policy(const struct chain *chain, size_t rank);

/* The answer where no policy decides. */
enum icp_opcode chain_default(const struct chain *chain);

/* The number of prefixes and whole URLs in all policies that the kernel could evaluate. */
size_t chain_prefix_count(const struct chain *chain);

#endif
