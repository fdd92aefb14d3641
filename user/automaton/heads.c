// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The bytes at a place are those of all sets that can be reached from the start over so many bytes.
 * Assertions are taken as true, and a byte at one place as independent of those at the others, so
 * that more may pass than can match, but never fewer. Once a match can be at its end, any byte may
 * follow, or the end of the URL.
 *
 * What a pattern may skip, such as the .* at its beginning, is left out: if a match begins with it,
 * the rest of the match begins at a later byte.
 */
#include <stdlib.h>
#include <string.h>

#include "automaton/heads.h"

struct reach {
	const struct nfa *nfa;
	bool *seen;
	uint32_t *stack, *sets; /* nodes; each is in one of them once at most */
	size_t stacked, set_count;
};

static void push(struct reach *reach, uint32_t node)
{
	if (node == NFA_NONE || reach->seen[node])
		return;
	reach->seen[node] = true;
	reach->stack[reach->stacked++] = node;
}

/* Replace `sets` by those that can be reached from the stack. Returns true if a match is complete. */
static bool close_over(struct reach *reach)
{
	const struct nfa *nfa = reach->nfa;
	bool complete = false;

	reach->set_count = 0;
	while (reach->stacked) {
		uint32_t number = reach->stack[--reach->stacked];
		const struct nfa_node *node = &nfa->nodes[number];

		if (node->kind == NFA_MATCH) {
			complete = true;
		} else if (node->kind == NFA_SET) {
			reach->sets[reach->set_count++] = number;
		} else {
			push(reach, node->next);
			if (node->kind == NFA_SPLIT)
				push(reach, node->other);
		}
	}
	return complete;
}

/* Leave sets out that take any byte and lead back to where they are. */
static void drop_loops(struct reach *reach)
{
	const struct nfa *nfa = reach->nfa;
	const struct bytes any = bytes_of_urls();
	size_t kept = 0;

	for (size_t i = 0; i < reach->set_count; i++) {
		const struct nfa_node *node = &nfa->nodes[reach->sets[i]];

		if (!reach->seen[node->next] ||
		    memcmp(&nfa->sets[node->set], &any, sizeof(any)) != 0)
			reach->sets[kept++] = reach->sets[i];
	}
	reach->set_count = kept;
}

/* Return the bytes of the sets, and put what is behind them on the stack. */
static struct bytes step(struct reach *reach)
{
	const struct nfa *nfa = reach->nfa;
	struct bytes bytes = { 0 };

	memset(reach->seen, 0, nfa->count * sizeof(*reach->seen));
	for (size_t i = 0; i < reach->set_count; i++) {
		const struct nfa_node *node = &nfa->nodes[reach->sets[i]];

		bytes_unite(&bytes, &nfa->sets[node->set]);
		push(reach, node->next);
	}
	return bytes;
}

/* The share of the bytes of URLs that can be at this place. */
static double share_at(const uint8_t miss[256], unsigned int place)
{
	static const char usual[] = "abcdefghijklmnopqrstuvwxyz0123456789/.-_?=&%";
	unsigned int pass = 0;

	for (const char *byte = usual; *byte; byte++)
		pass += !(miss[(uint8_t)*byte] >> place & 1);
	return (double)pass / (sizeof(usual) - 1);
}

/*
 * With bytes that are equally frequent, and letters in lower case: an estimate on which nothing but
 * speed depends. A match begins at each of the stride's bytes equally often.
 */
double heads_share(const uint8_t miss[256], unsigned int stride)
{
	double sum = 0;

	for (unsigned int first = 0; first < stride; first++) {
		double share = 1;

		for (unsigned int place = 0; place < FILTER_PLACES; place++)
			share *= share_at(miss, first + place * stride);
		sum += share;
	}
	return sum / stride;
}

/* Above this, a URL of 100 bytes has to be walked more often than not. */
#define SHARE_MAX 0.005

void heads_find(uint8_t miss[256], const struct nfa *nfa)
{
	struct reach reach = {
		.nfa = nfa,
		.seen = calloc(nfa->count + 1, sizeof(*reach.seen)),
		.stack = calloc(nfa->count + 1, sizeof(*reach.stack)),
		.sets = calloc(nfa->count + 1, sizeof(*reach.sets)),
	};
	bool usable = reach.seen && reach.stack && reach.sets;

	memset(miss, 0, 256);
	if (usable)
		push(&reach, nfa->start);
	for (unsigned int place = 0; place < HEADS_PLACES && usable; place++) {
		struct bytes pass;

		if (close_over(&reach))
			break;
		if (place == 0)
			drop_loops(&reach);
		pass = step(&reach);
		for (unsigned int byte = 0; byte < 256; byte++)
			miss[byte] |= !bytes_has(&pass, byte) << place;
	}
	if (heads_share(miss, 1) > SHARE_MAX)
		memset(miss, 0, 256);
	free(reach.seen);
	free(reach.stack);
	free(reach.sets);
}
