// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The source policies as one list of networks of which the smallest decides.
 *
 * Consider a network of any of the policies, and the addresses in it that lie in no smaller network
 * of the list: each policy contains all of them or none, so the first policy that matches is the
 * same for all. A policy with `not` matches the addresses that it does not contain; if there is one,
 * the network of all addresses is in the list too.
 *
 * With the networks sorted by address, larger ones first, those that contain the current one form a
 * stack.
 */
#include <stdlib.h>
#include <string.h>

#include "chain/compile.h"

#define NO_POLICY RANK_NONE /* of the network of all addresses */

struct node {
	struct netset_network network;
	__u32 rank; /* of its policy */
};

static int compare_nodes(const void *left, const void *right)
{
	const struct node *a = left, *b = right;
	int order = memcmp(&a->network.address, &b->network.address, sizeof(struct in6_addr));

	if (order)
		return order;
	return (a->network.bits > b->network.bits) - (a->network.bits < b->network.bits);
}

static bool same_network(const struct netset_network *a, const struct netset_network *b)
{
	return a->bits == b->bits && memcmp(&a->address, &b->address, sizeof(a->address)) == 0;
}

static bool contains(const struct netset_network *outer, const struct netset_network *inner)
{
	unsigned int bytes = outer->bits / 8, left = outer->bits % 8;
	const uint8_t *a = outer->address.s6_addr, *b = inner->address.s6_addr;

	if (outer->bits > inner->bits || memcmp(a, b, bytes) != 0)
		return false;
	return left == 0 || (a[bytes] ^ b[bytes]) >> (8 - left) == 0;
}

static bool is_source(const struct policy *policy)
{
	return policy->kind->basis == POLICY_BASIS_SOURCE;
}

/* Return the first policy that matches addresses in the networks on the stack and no others. */
static struct compiled_source first_match(const struct chain *chain, const struct node *stack,
					  size_t depth)
{
	struct compiled_source source = { .rank = RANK_NONE };

	for (__u32 rank = 0; rank < chain_count(chain); rank++) {
		const struct policy *policy = chain_policy(chain, rank);
		bool contained = false;

		if (!is_source(policy))
			continue;
		for (size_t i = 0; i < depth && !contained; i++)
			contained = stack[i].rank == rank;
		if (contained == policy->negate)
			continue;
		source.rank = rank;
		source.verdict = policy->verdict;
		source.cost = policy->cost;
		break;
	}
	source.network = stack[depth - 1].network;
	return source;
}

static size_t collect(const struct chain *chain, struct node *nodes)
{
	size_t count = 0;
	bool negated = false;

	for (__u32 rank = 0; rank < chain_count(chain); rank++) {
		const struct policy *policy = chain_policy(chain, rank);
		const struct netset *set;

		if (!is_source(policy))
			continue;
		set = policy->kind->sources(policy);
		negated = negated || policy->negate;
		for (size_t i = 0; i < netset_count(set); i++)
			nodes[count++] = (struct node){ netset_get(set, i), rank };
	}
	if (negated)
		nodes[count++] = (struct node){ .rank = NO_POLICY };
	qsort(nodes, count, sizeof(*nodes), compare_nodes);
	return count;
}

int compile_sources(const struct chain *chain, struct compiled *compiled)
{
	size_t total = 0, policies = 0, count, depth = 0;
	struct node *nodes, *stack;

	for (__u32 rank = 0; rank < chain_count(chain); rank++) {
		const struct policy *policy = chain_policy(chain, rank);

		if (!is_source(policy))
			continue;
		policies++;
		total += netset_count(policy->kind->sources(policy));
	}
	if (policies == 0)
		return 0;
	/* Networks of a policy do not nest, so each policy is on the stack at most once. */
	nodes = reallocarray(NULL, total + 1, sizeof(*nodes));
	stack = reallocarray(NULL, policies + 1, sizeof(*stack));
	compiled->sources = reallocarray(NULL, total + 1, sizeof(*compiled->sources));
	if (!nodes || !stack || !compiled->sources) {
		free(nodes);
		free(stack);
		return -1;
	}
	count = collect(chain, nodes);
	for (size_t i = 0; i < count; i++) {
		while (depth && !contains(&stack[depth - 1].network, &nodes[i].network))
			depth--;
		stack[depth++] = nodes[i];
		if (i + 1 < count && same_network(&nodes[i].network, &nodes[i + 1].network))
			continue; /* one entry for all policies with the same network */
		compiled->sources[compiled->source_count++] = first_match(chain, stack, depth);
	}
	free(nodes);
	free(stack);
	return 0;
}
