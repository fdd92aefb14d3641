/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the reply must be: the meaning of a chain in the plainest words there are, written from the
 * description of the policies alone, without a line of what is tested.
 *
 * What is promised where it matters when something is asked:
 *
 * - Each policy is asked when its turn comes. A query that was begun is answered by the chain and
 *   the rules that it began with, whatever replaces them meanwhile; no drain overtakes it. (The
 *   gates of a chain that was replaced stand still here; a daemon's still move, which is no
 *   promise.)
 * - What a helper, script or plugin has replied may be used again for its ttl, counted from when it
 *   was asked, for the same URL, querier and chain, whatever it would reply since. All else (gates,
 *   queriers, rules, the drain) is as it is now. A decision that a gate or a querier's address
 *   decided, or in which a reply was lost, is not used again.
 */
#ifndef FIDELITY_ORACLE_H
#define FIDELITY_ORACLE_H

#include "setup.h"

enum decider {
	BY_FORM, /* white space in the URL */
	BY_DRAIN,
	BY_RULE,
	BY_POLICY,
	BY_DEFAULT,
};

struct expected {
	uint8_t verdict; /* VERDICT_SILENCE: no reply */
	int cost;	 /* -1: none is told */
	enum decider decider;
	struct text name; /* of the policy, or the rule itself */
	/* Whoever knows the maps that the kernel has must be able to reply without help. */
	bool kernel_knows;
	bool sent_up; /* by a rule without a verdict */
};

/* A query on its way through the policies. */
struct walk {
	const struct setup *setup; /* of the chain that it began with */
	const struct step *ask;
	struct expected expected;	    /* once it is decided */
	size_t rank;			    /* of the policy that is asked */
	unsigned int changes[POLICIES_MAX]; /* the number of changes when each policy replied */
	uint64_t expires;  /* when the first of those replies does; 0: at once, UINT64_MAX: never */
	bool replied;	   /* a policy that replies was asked */
	bool by_source;	   /* ... and one that looks at the querier */
	unsigned int lost; /* replies */
};

/* True: it is decided. False: a helper is waited for, walk_reply() goes on. */
bool walk_begin(struct walk *walk, const struct setup *setup, const struct step *ask);
bool walk_reply(struct walk *walk, bool lost);

/* What is expected where all helpers reply at once. */
struct walk oracle_ask(const struct setup *setup, const struct step *ask);

/* Decisions that may be used again. */
struct memory {
	struct remembered {
		struct text url;
		uint8_t address[16];
		unsigned int epoch;
		bool by_source;
		uint64_t expires;
		unsigned int changes[POLICIES_MAX];
	} * all;
	size_t count, room;
};

/* A walk is over; `setup` is as it is now. */
void memory_add(struct memory *memory, const struct setup *setup, const struct walk *walk);

/*
 * What may be replied as well, by a decision that was remembered. `*place`, at first 0, leads to the
 * next; false: there is none.
 */
bool memory_next(const struct memory *memory, size_t *place, const struct setup *setup,
		 const struct step *ask, struct expected *expected);

void memory_clear(struct memory *memory);

#endif
