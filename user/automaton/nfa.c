// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "automaton/nfa.h"
#include "lib/vec.h"

#define NODES_MAX (1u << 17)
#define BUDGET (1u << 20) /* nodes of the tree that are visited, each as often as it is repeated */
#define SETS_MAX 2048

struct emitter {
	struct nfa *nfa;
	const struct tree *tree;
	bool backward;
	uint32_t level; /* that is made */
	struct error *error;
};

static uint32_t add(struct emitter *emitter, enum nfa_kind kind, uint32_t next)
{
	struct nfa *nfa = emitter->nfa;
	struct nfa_node *node = NULL;

	if (nfa->count == NODES_MAX) {
		error_write(emitter->error,
			    "too large: more than %u characters, repetitions written out",
			    NODES_MAX);
		return NFA_NONE;
	}
	node = vec_append(nfa->nodes, nfa->count);
	if (!node) {
		error_write(emitter->error, "out of memory");
		return NFA_NONE;
	}
	*node = (struct nfa_node){ .kind = kind, .next = next, .level = emitter->level };
	if (kind >= NFA_BEGIN && kind < NFA_MATCH)
		nfa->has_assertions = true;
	return nfa->count - 1;
}

static uint32_t find_set(struct emitter *emitter, const struct bytes *wanted)
{
	struct bytes set = bytes_of_urls();
	struct nfa *nfa = emitter->nfa;
	struct bytes *added;

	bytes_intersect(&set, wanted);
	for (size_t i = 0; i < nfa->set_count; i++)
		if (memcmp(&nfa->sets[i], &set, sizeof(set)) == 0)
			return i;
	if (nfa->set_count == SETS_MAX) {
		error_write(emitter->error, "more than %u different sets of characters", SETS_MAX);
		return NFA_NONE;
	}
	added = vec_append(nfa->sets, nfa->set_count);
	if (!added) {
		error_write(emitter->error, "out of memory");
		return NFA_NONE;
	}
	*added = set;
	return nfa->set_count - 1;
}

static uint32_t emit(struct emitter *emitter, uint32_t node, uint32_t next);

static uint32_t emit_set(struct emitter *emitter, const struct tree_node *node, uint32_t next)
{
	uint32_t set = find_set(emitter, &node->set);
	uint32_t added = set == NFA_NONE ? NFA_NONE : add(emitter, NFA_SET, next);

	if (added != NFA_NONE)
		emitter->nfa->nodes[added].set = set;
	return added;
}

static uint32_t emit_split(struct emitter *emitter, uint32_t next, uint32_t other)
{
	uint32_t added = add(emitter, NFA_SPLIT, next);

	if (added != NFA_NONE)
		emitter->nfa->nodes[added].other = other;
	return added;
}

static uint32_t emit_sequence(struct emitter *emitter, const struct tree_node *node, uint32_t next)
{
	const struct tree_node *nodes = emitter->tree->nodes;
	uint32_t child = emitter->backward ? node->first : node->last;

	while (child && next != NFA_NONE) {
		next = emit(emitter, child, next);
		child = emitter->backward ? nodes[child].next : nodes[child].previous;
	}
	return next;
}

static uint32_t emit_choice(struct emitter *emitter, const struct tree_node *node, uint32_t next)
{
	const struct tree_node *nodes = emitter->tree->nodes;
	uint32_t entry = emit(emitter, node->first, next);

	for (uint32_t child = nodes[node->first].next; child && entry != NFA_NONE;
	     child = nodes[child].next) {
		uint32_t branch = emit(emitter, child, next);

		entry = branch == NFA_NONE ? NFA_NONE : emit_split(emitter, branch, entry);
	}
	return entry;
}

/* What is optional: (x(x(x)?)?)?, or a loop; then what is not. */
static uint32_t emit_repeat(struct emitter *emitter, const struct tree_node *node, uint32_t next)
{
	uint32_t end = next;

	if (node->max == TREE_NO_MAX) {
		uint32_t loop = emit_split(emitter, next, next);
		uint32_t body = loop == NFA_NONE ? NFA_NONE : emit(emitter, node->first, loop);

		if (body == NFA_NONE)
			return NFA_NONE;
		emitter->nfa->nodes[loop].other = body;
		next = loop;
	} else {
		for (uint32_t i = node->min; i < node->max && next != NFA_NONE; i++) {
			next = emit(emitter, node->first, next);
			if (next != NFA_NONE)
				next = emit_split(emitter, next, end);
		}
	}
	for (uint32_t i = 0; i < node->min && next != NFA_NONE; i++)
		next = emit(emitter, node->first, next);
	return next;
}

/* Make the nodes that match a tree's node and go on at `next`. Returns the first; NFA_NONE: error. */
static uint32_t emit(struct emitter *emitter, uint32_t number, uint32_t next)
{
	const struct tree_node *node = &emitter->tree->nodes[number];

	if (emitter->nfa->budget-- == 0) {
		emitter->nfa->budget = 0;
		error_write(emitter->error, "too large: repetitions of repetitions");
		return NFA_NONE;
	}
	switch (node->kind) {
	case TREE_EMPTY:
		return next;
	case TREE_SET:
		return emit_set(emitter, node, next);
	case TREE_SEQUENCE:
		return emit_sequence(emitter, node, next);
	case TREE_CHOICE:
		return emit_choice(emitter, node, next);
	case TREE_REPEAT:
		return emit_repeat(emitter, node, next);
	case TREE_BEGIN:
		return add(emitter, emitter->backward ? NFA_END : NFA_BEGIN, next);
	case TREE_END:
		return add(emitter, emitter->backward ? NFA_BEGIN : NFA_END, next);
	case TREE_EDGE:
		return add(emitter, NFA_EDGE, next);
	case TREE_NO_EDGE:
		return add(emitter, NFA_NO_EDGE, next);
	}
	return NFA_NONE;
}

/* Divide each class into the bytes that belong to a set and those that do not. */
static void divide(struct nfa *nfa, const struct bytes *set)
{
	uint16_t divided[256][2] = { { 0 } }; /* the classes of both parts; 0: none yet */
	uint8_t class[256];
	uint32_t count = 1;

	for (unsigned int byte = 0; byte < 256; byte++) {
		uint16_t *part = &divided[nfa->class[byte]][bytes_has(set, byte)];

		if (nfa->class[byte] != NFA_CLASS_END && *part == 0)
			*part = count++;
		class[byte] = *part;
	}
	memcpy(nfa->class, class, sizeof(class));
	nfa->classes = count;
}

/* Find the classes: bytes between which no set distinguishes, nor an assertion. */
static void classify(struct nfa *nfa)
{
	const struct bytes urls = bytes_of_urls(), words = bytes_of_words();

	nfa->classes = 2;
	for (unsigned int byte = 0; byte < 256; byte++)
		nfa->class[byte] = bytes_has(&urls, byte) ? 1 : NFA_CLASS_END;
	for (size_t i = 0; i < nfa->set_count; i++)
		divide(nfa, &nfa->sets[i]);
	if (nfa->has_assertions)
		divide(nfa, &words);
	for (unsigned int byte = 0; byte < 256; byte++)
		nfa->word[nfa->class[byte]] = nfa->has_assertions && bytes_has(&words, byte);
	nfa->word[NFA_CLASS_END] = false;
}

int nfa_make(struct nfa *nfa, const struct tree *tree, const uint32_t *roots, size_t count,
	     bool backward, struct error *error)
{
	struct emitter emitter = { nfa, tree, backward, 0, error };

	*nfa = (struct nfa){ .start = NFA_NONE, .budget = BUDGET };
	/* From the last, so that splits belong to the least level of what follows. */
	for (size_t i = count; i-- > 0;) {
		uint32_t entry;

		emitter.level = i;
		entry = add(&emitter, NFA_MATCH, NFA_NONE);
		if (entry != NFA_NONE)
			entry = emit(&emitter, roots[i], entry);
		if (entry != NFA_NONE && nfa->start != NFA_NONE)
			entry = emit_split(&emitter, entry, nfa->start);
		if (entry == NFA_NONE)
			return -1;
		nfa->start = entry;
	}
	classify(nfa);
	return 0;
}

void nfa_free(struct nfa *nfa)
{
	free(nfa->nodes);
	free(nfa->sets);
}
