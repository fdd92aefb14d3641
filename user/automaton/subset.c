// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The subset construction (Rabin and Scott, 1959): a state of the deterministic automaton is the set
 * of all nodes of the nondeterministic one at which it could be.
 *
 * Patterns are found anywhere. So the nodes at which a match can begin belong to each set. These
 * `restarts` are the same for all sets, and there are thousands of them in a list of as many
 * patterns: they are not kept in the sets, and what each byte makes of them is computed once.
 *
 * An assertion is about the byte before it and the one that follows. The latter is not known when a
 * set is made, so a set keeps the assertions in it that depend on it, and of the byte before it (the
 * set's `context`) what matters to them. Once the next byte is known, they are replaced by what they
 * lead to, if they are true, before the step.
 *
 * A set also has a level: the least of a pattern that has been found on the way. Nodes of patterns of
 * that level or a higher one are left out, as they cannot change the answer any more.
 */
#include <stdlib.h>
#include <string.h>

#include "automaton/dfa.h"
#include "lib/vec.h"

/*
 * Bounds, so that no list takes the daemon's time and memory: a list that is refused takes less than
 * half a second and 50 MB. What fits into a group needs a fraction of that, as a rule.
 */
#define STATES_MAX 65536u
#define CELLS_MAX (1u << 20)   /* of the table */
#define MEMBERS_MAX (1u << 22) /* of all sets */
#define WORK_MAX 8000000u      /* nodes looked at: some 0.2 s */

/* What stands before a set, and what follows it. */
enum context {
	CONTEXT_OTHER, /* no byte of a word */
	CONTEXT_WORD,
	CONTEXT_EDGE, /* the beginning of the walk, or its end */
	CONTEXTS,
	CONTEXT_UNKNOWN = CONTEXTS,
};

struct list {
	uint32_t *items;
	size_t count;
};

/* What can be reached without a byte: nodes that take one, and assertions that wait for the next. */
struct closure {
	struct list nodes;
	uint32_t level; /* the least of a pattern that is found in it */
};

struct state {
	uint32_t first, count; /* in members: nodes, sorted */
	uint32_t level;
	enum context context;
};

/* What begins in a context. */
struct restarts {
	uint8_t *member; /* for each node: is it one, the next byte not yet known? */
	bool waits;	 /* an assertion is one */
	uint32_t level;	 /* of a pattern that is found there */
	uint32_t resolved_level[CONTEXTS]; /* when the next byte is known */
	struct list targets[256];	   /* for each class, where its nodes lead */
	uint32_t state[256]; /* for each class, if nothing else is in the set; or NONE */
	enum context same;   /* the first context that has the same */
};

struct builder {
	const struct nfa *nfa;
	const struct dfa_levels *levels;
	struct dfa *dfa;
	struct error *error;
	uint32_t work;
	bool *set_has;	   /* set * 256 + class */
	uint32_t *members; /* of all sets */
	size_t member_count, member_room;
	struct state *states; /* from the first that is no sink */
	size_t state_count;
	uint32_t *buckets;     /* of a hash table: numbers of states */
	uint32_t *marks, mark; /* for each node: when it was visited last */
	uint64_t *bits;	       /* one for each node, none set between calls of sort() */
	/* Memory for use within a step, with room for all nodes. */
	struct list stack, targets;
	struct closure found, resolved[CONTEXTS];
	struct restarts restarts[CONTEXTS];
};

#define BUCKETS (2 * STATES_MAX)
#define NONE UINT32_MAX

static int fail(struct builder *builder, const char *reason)
{
	error_write(builder->error, "%s", reason);
	return -1;
}

static int charge(struct builder *builder, size_t work)
{
	if (work > WORK_MAX - builder->work)
		return fail(builder, "takes too long to compile");
	builder->work += work;
	return 0;
}

static enum context context_of(const struct nfa *nfa, uint32_t class)
{
	return nfa->word[class] ? CONTEXT_WORD : CONTEXT_OTHER;
}

static void visit(struct builder *builder, uint32_t node, uint32_t below)
{
	if (builder->marks[node] == builder->mark || builder->nfa->nodes[node].level >= below)
		return;
	builder->marks[node] = builder->mark;
	builder->stack.items[builder->stack.count++] = node;
}

/* Does a node let the walk pass between these two? It may not be known yet: then it waits. */
static bool passes(const struct nfa_node *node, enum context before, enum context after)
{
	switch (node->kind) {
	case NFA_BEGIN:
		return before == CONTEXT_EDGE;
	case NFA_END:
		return after == CONTEXT_EDGE;
	case NFA_EDGE:
		return (before == CONTEXT_WORD) != (after == CONTEXT_WORD);
	case NFA_NO_EDGE:
		return (before == CONTEXT_WORD) == (after == CONTEXT_WORD);
	default:
		return true;
	}
}

/* Find what can be reached from `count` nodes, of levels below `below`, without a byte. */
static int close_over(struct builder *builder, struct closure *closure, const uint32_t *nodes,
		      size_t count, uint32_t below, enum context before, enum context after)
{
	const struct nfa *nfa = builder->nfa;
	size_t visited = 0;

	closure->nodes.count = 0;
	closure->level = NONE;
	builder->mark++;
	for (size_t i = 0; i < count; i++)
		visit(builder, nodes[i], below);
	while (builder->stack.count) {
		uint32_t number = builder->stack.items[--builder->stack.count];
		const struct nfa_node *node = &nfa->nodes[number];

		visited++;
		if (node->kind == NFA_MATCH) {
			if (node->level < closure->level)
				closure->level = node->level;
		} else if (node->kind == NFA_SET ||
			   (node->kind >= NFA_END && after == CONTEXT_UNKNOWN)) {
			closure->nodes.items[closure->nodes.count++] = number;
		} else if (passes(node, before, after)) {
			visit(builder, node->next, below);
			if (node->kind == NFA_SPLIT)
				visit(builder, node->other, below);
		}
	}
	return charge(builder, visited + count);
}

static uint32_t sink_of(const struct builder *builder, uint32_t level)
{
	return builder->levels->answers[level == NONE ? builder->levels->count : level];
}

static uint32_t hash_of(const uint32_t *nodes, size_t count, uint32_t level, enum context context)
{
	uint64_t hash = level * 4ULL + context;

	for (size_t i = 0; i < count; i++)
		hash = (hash ^ nodes[i]) * 0x9e3779b97f4a7c15ULL ^ hash >> 29;
	return (hash ^ hash >> 32) % BUCKETS;
}

/* Sort a set: by a bit for each node, since sets are often a good part of all nodes. */
static void sort(struct builder *builder, struct list *set)
{
	size_t words = builder->nfa->count / 64 + 1, first = words, last = 0;

	for (size_t i = 0; i < set->count; i++) {
		size_t word = set->items[i] / 64;

		builder->bits[word] |= 1ULL << set->items[i] % 64;
		first = word < first ? word : first;
		last = word > last ? word : last;
	}
	set->count = 0;
	for (size_t word = first; word <= last && word < words; word++) {
		for (uint64_t bits = builder->bits[word]; bits; bits &= bits - 1)
			set->items[set->count++] = word * 64 + __builtin_ctzll(bits);
		builder->bits[word] = 0;
	}
}

/* Make room for so many more members. */
static int reserve_members(struct builder *builder, size_t count)
{
	size_t wanted = builder->member_count + count;
	uint32_t *grown;

	if (wanted < builder->member_room)
		return 0;
	if (wanted > MEMBERS_MAX)
		return fail(builder, "needs too much memory to compile");
	wanted = 2 * wanted + 1024;
	grown = reallocarray(builder->members, wanted, sizeof(*grown));
	if (!grown)
		return fail(builder, "out of memory");
	builder->members = grown;
	builder->member_room = wanted;
	return 0;
}

/* Return the number of the state with a set, which is sorted; a new one if need be. NONE: error. */
static uint32_t find_state(struct builder *builder, const struct list *set, uint32_t level,
			   enum context context)
{
	uint32_t bucket = hash_of(set->items, set->count, level, context);
	struct state *state;

	for (; builder->buckets[bucket]; bucket = (bucket + 1) % BUCKETS) {
		uint32_t number = builder->buckets[bucket];

		state = &builder->states[number - builder->levels->sinks];
		if (state->count == set->count && state->level == level &&
		    state->context == context &&
		    memcmp(builder->members + state->first, set->items,
			   set->count * sizeof(*set->items)) == 0)
			return number;
	}
	if (builder->state_count + builder->levels->sinks == STATES_MAX ||
	    builder->state_count >= CELLS_MAX / builder->nfa->classes) {
		error_write(builder->error, "needs more than %zu states before they are minimised",
			    builder->state_count);
		return NONE;
	}
	if (reserve_members(builder, set->count))
		return NONE;
	state = vec_append(builder->states, builder->state_count);
	if (!state) {
		error_write(builder->error, "out of memory");
		return NONE;
	}
	*state = (struct state){ builder->member_count, set->count, level, context };
	memcpy(builder->members + builder->member_count, set->items,
	       set->count * sizeof(*set->items));
	builder->member_count += set->count;
	builder->buckets[bucket] = builder->levels->sinks + builder->state_count - 1;
	return builder->buckets[bucket];
}

/*
 * Return the state in `context` after a step that led to the nodes in `targets`, when `level` had
 * been found before. NONE: error.
 */
static uint32_t make_state(struct builder *builder, uint32_t level, enum context context)
{
	const struct restarts *restarts = &builder->restarts[context];
	struct closure *found = &builder->found;
	bool waits = false;
	size_t kept = 0;

	if (close_over(builder, found, builder->targets.items, builder->targets.count, level,
		       context, CONTEXT_UNKNOWN))
		return NONE;
	if (found->level < level)
		level = found->level;
	if (restarts->level < level)
		level = restarts->level;
	if (level == 0)
		return sink_of(builder, level);
	for (size_t i = 0; i < found->nodes.count; i++) {
		uint32_t node = found->nodes.items[i];

		if (restarts->member[node] || builder->nfa->nodes[node].level >= level)
			continue;
		waits = waits || builder->nfa->nodes[node].kind != NFA_SET;
		found->nodes.items[kept++] = node;
	}
	found->nodes.count = kept;
	sort(builder, &found->nodes);
	return find_state(builder, &found->nodes, level, waits ? context : restarts->same);
}

/* Append to `targets` where those of `nodes` lead that take a byte of a class. */
static void step(struct builder *builder, const uint32_t *nodes, size_t count, uint32_t class,
		 uint32_t below)
{
	for (size_t i = 0; i < count; i++) {
		const struct nfa_node *node = &builder->nfa->nodes[nodes[i]];

		if (node->kind == NFA_SET && node->level < below &&
		    builder->set_has[node->set * 256 + class])
			builder->targets.items[builder->targets.count++] = node->next;
	}
}

static int make_restarts(struct builder *builder, enum context context)
{
	struct restarts *restarts = &builder->restarts[context];
	const struct nfa *nfa = builder->nfa;
	size_t start_count = nfa->start != NFA_NONE;
	struct closure *found = &builder->found;

	for (enum context after = 0; after < CONTEXTS; after++) {
		if (close_over(builder, found, &nfa->start, start_count, NONE, context, after))
			return -1;
		restarts->resolved_level[after] = found->level;
		for (uint32_t class = 1; class < nfa->classes; class ++) {
			struct list *list = &restarts->targets[class];

			if (context_of(nfa, class) != after)
				continue;
			builder->targets.count = 0;
			step(builder, found->nodes.items, found->nodes.count, class, NONE);
			list->count = builder->targets.count;
			list->items = malloc(list->count * sizeof(*list->items) + 1);
			if (!list->items)
				return fail(builder, "out of memory");
			memcpy(list->items, builder->targets.items,
			       list->count * sizeof(*list->items));
			if (charge(builder, found->nodes.count))
				return -1;
		}
	}
	memset(restarts->state, 0xff, sizeof(restarts->state));
	restarts->member = calloc(nfa->count + 1, 1);
	if (!restarts->member)
		return fail(builder, "out of memory");
	if (close_over(builder, found, &nfa->start, start_count, NONE, context, CONTEXT_UNKNOWN))
		return -1;
	restarts->level = found->level;
	for (size_t i = 0; i < found->nodes.count; i++) {
		uint32_t node = found->nodes.items[i];

		restarts->member[node] = 1;
		restarts->waits = restarts->waits || nfa->nodes[node].kind != NFA_SET;
	}
	restarts->same = context;
	for (enum context other = 0; other < context && !restarts->waits; other++)
		if (!builder->restarts[other].waits &&
		    builder->restarts[other].level == restarts->level &&
		    memcmp(builder->restarts[other].member, restarts->member, nfa->count) == 0)
			restarts->same = other;
	return 0;
}

/* Find what the set's assertions lead to, for each kind of byte that may follow. */
static int resolve(struct builder *builder, const struct state *state)
{
	const uint32_t *nodes = builder->members + state->first;

	for (enum context after = 0; after < CONTEXTS; after++) {
		builder->targets.count = 0;
		builder->resolved[after].nodes.count = 0;
		builder->resolved[after].level = NONE;
		for (uint32_t i = 0; i < state->count; i++)
			if (builder->nfa->nodes[nodes[i]].kind != NFA_SET)
				builder->targets.items[builder->targets.count++] = nodes[i];
		if (builder->targets.count &&
		    close_over(builder, &builder->resolved[after], builder->targets.items,
			       builder->targets.count, state->level, state->context, after))
			return -1;
	}
	return 0;
}

static uint32_t least_of(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Where a byte of a class leads from a state that resolve() was called for. NONE: error. */
static uint32_t follow(struct builder *builder, const struct state *state, uint32_t class)
{
	enum context after = context_of(builder->nfa, class);
	struct restarts *restarts = &builder->restarts[state->context];
	const struct closure *resolved = &builder->resolved[after];
	const struct list *list = &restarts->targets[class];
	uint32_t level = least_of(state->level, resolved->level);
	bool alone = level == NONE;
	uint32_t to;

	level = least_of(level, restarts->resolved_level[after]);
	if (level == 0)
		return sink_of(builder, level);
	builder->targets.count = 0;
	step(builder, builder->members + state->first, state->count, class, level);
	step(builder, resolved->nodes.items, resolved->nodes.count, class, level);
	alone = alone && builder->targets.count == 0;
	if (alone && restarts->state[class] != NONE)
		return restarts->state[class];
	memcpy(builder->targets.items + builder->targets.count, list->items,
	       list->count * sizeof(*list->items));
	builder->targets.count += list->count;
	to = make_state(builder, level, after);
	if (alone)
		restarts->state[class] = to;
	return to;
}

static int fill_row(struct builder *builder, uint32_t number)
{
	const struct state state = builder->states[number - builder->levels->sinks];
	uint32_t classes = builder->nfa->classes, end, *row;

	if (charge(builder, (size_t)state.count * classes) || resolve(builder, &state))
		return -1;
	end = least_of(state.level, builder->resolved[CONTEXT_EDGE].level);
	end = least_of(end, builder->restarts[state.context].resolved_level[CONTEXT_EDGE]);
	row = builder->dfa->next + (size_t)number * classes;
	row[NFA_CLASS_END] = sink_of(builder, end);
	for (uint32_t class = 1; class < classes; class ++) {
		row[class] = follow(builder, &state, class);
		if (row[class] == NONE)
			return -1;
	}
	return 0;
}

static int make_room(struct builder *builder)
{
	const struct nfa *nfa = builder->nfa;
	size_t nodes = nfa->count + 1;

	builder->set_has = calloc(nfa->set_count + 1, 256);
	builder->buckets = calloc(BUCKETS, sizeof(*builder->buckets));
	builder->marks = calloc(nodes, sizeof(*builder->marks));
	builder->bits = calloc(nodes / 64 + 1, sizeof(*builder->bits));
	builder->stack.items = malloc(nodes * sizeof(uint32_t));
	builder->targets.items = malloc(3 * nodes * sizeof(uint32_t));
	builder->found.nodes.items = malloc(nodes * sizeof(uint32_t));
	for (enum context i = 0; i < CONTEXTS; i++) {
		builder->resolved[i].nodes.items = malloc(nodes * sizeof(uint32_t));
		if (!builder->resolved[i].nodes.items)
			return fail(builder, "out of memory");
	}
	if (!builder->set_has || !builder->buckets || !builder->marks || !builder->bits ||
	    !builder->stack.items || !builder->targets.items || !builder->found.nodes.items)
		return fail(builder, "out of memory");
	for (size_t set = 0; set < nfa->set_count; set++)
		for (unsigned int byte = 1; byte < 256; byte++)
			if (bytes_has(&nfa->sets[set], byte))
				builder->set_has[set * 256 + nfa->class[byte]] = true;
	return 0;
}

static int build(struct builder *builder)
{
	struct dfa *dfa = builder->dfa;
	size_t cells = 0;

	if (make_room(builder))
		return -1;
	for (enum context context = 0; context < CONTEXTS; context++)
		if (make_restarts(builder, context))
			return -1;
	builder->targets.count = 0;
	dfa->start = make_state(builder, NONE, CONTEXT_EDGE);
	if (dfa->start == NONE)
		return -1;
	for (dfa->states = dfa->sinks; dfa->states < dfa->sinks + builder->state_count;
	     dfa->states++) {
		if ((size_t)(dfa->states + 1) * dfa->classes > cells) {
			uint32_t *grown;

			cells = 2 * (size_t)(dfa->states + 1) * dfa->classes;
			grown = reallocarray(dfa->next, cells, sizeof(*grown));
			if (!grown)
				return fail(builder, "out of memory");
			dfa->next = grown;
		}
		if (fill_row(builder, dfa->states))
			return -1;
	}
	if (!dfa->next)
		dfa->next = malloc((size_t)dfa->sinks * dfa->classes * sizeof(*dfa->next));
	if (!dfa->next)
		return fail(builder, "out of memory");
	for (uint32_t sink = 0; sink < dfa->sinks; sink++)
		for (uint32_t class = 0; class < dfa->classes; class ++)
			dfa->next[(size_t)sink * dfa->classes + class] = sink;
	return 0;
}

int dfa_make(struct dfa *dfa, const struct nfa *nfa, const struct dfa_levels *levels,
	     struct error *error)
{
	struct builder *builder = calloc(1, sizeof(*builder));
	int result;

	*dfa = (struct dfa){ .sinks = levels->sinks, .classes = nfa->classes };
	memcpy(dfa->class, nfa->class, sizeof(dfa->class));
	if (!builder)
		return error_set(error, "out of memory");
	builder->nfa = nfa;
	builder->levels = levels;
	builder->dfa = dfa;
	builder->error = error;
	result = build(builder);
	for (enum context i = 0; i < CONTEXTS; i++) {
		for (size_t class = 0; class < 256; class ++)
			free(builder->restarts[i].targets[class].items);
		free(builder->restarts[i].member);
		free(builder->resolved[i].nodes.items);
	}
	free(builder->set_has);
	free(builder->members);
	free(builder->states);
	free(builder->buckets);
	free(builder->marks);
	free(builder->bits);
	free(builder->stack.items);
	free(builder->targets.items);
	free(builder->found.nodes.items);
	free(builder);
	return result;
}

void dfa_free(struct dfa *dfa)
{
	free(dfa->next);
}
