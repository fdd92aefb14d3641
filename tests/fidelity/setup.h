/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the steps so far have come to: the policies with their entries, the host's state, rules. */
#ifndef FIDELITY_SETUP_H
#define FIDELITY_SETUP_H

#include "script.h"

#define POLICIES_MAX 64
#define RULES_MAX 60
#define FLAGS_MAX 26 /* letters */
#define LEASE 3000   /* milliseconds that the kernel trusts a silent daemon */

enum load {
	LOAD_AVERAGE,
	LOAD_CPU,
	LOAD_MEMORY,
	LOAD_IO,
	LOAD_MAX,
};

extern const char *const load_names[LOAD_MAX];

struct entry {
	struct text text;
	uint8_t verdict; /* its own, or VERDICT_NONE */
	bool in_file;
	/* Of the kinds that reply: */
	bool from; /* for this querier only */
	uint8_t address[16];
	unsigned int since, until; /* numbers of changes: valid before `until`; UINT_MAX: still */
};

struct policy_setup {
	struct text name;
	enum kind kind;
	enum sight sees;
	uint8_t verdict;
	int cost; /* -1: none */
	int ttl;  /* seconds; -1: none */
	bool negate;
	bool matches;	     /* a gate's state */
	unsigned int lately; /* what a recent knows (lately.h) */
	size_t count, room;
	struct entry *entries; /* those of its file come last */
};

struct rule_setup {
	struct text text;
	uint8_t verdict; /* VERDICT_NONE: a number that is none */
};

struct setup {
	uint8_t default_verdict;
	uint8_t drain;
	bool watched;
	/* Over the wire nothing holds a script back, and a window passes before the next step. */
	bool scripts_at_once, windows_pass;
	bool flags[FLAGS_MAX];
	int loads[LOAD_MAX];
	struct text clock;    /* as in the step; empty: Mon 00:00 */
	uint64_t now;	      /* milliseconds since the script began */
	unsigned int changes; /* of what helpers and plugins reply */
	unsigned int epoch;   /* the number of chains so far */
	bool stale;	      /* the chain is another one since setup_settle() */
	size_t policy_count, rule_count;
	struct policy_setup policies[POLICIES_MAX]; /* in the byte order of their names */
	struct rule_setup rules[RULES_MAX];
	/* The gates, and recents, of the chain before, whose state those of the same name and kind inherit. */
	size_t former_count;
	struct former_gate {
		struct text name, watches;
		enum kind kind;
		bool matches;
		unsigned int lately;
	} former[POLICIES_MAX];
};

void setup_begin(struct setup *setup);
void setup_end(struct setup *setup);

/*
 * Applies a step. True: the chain is another one now. What is invalid changes nothing. Steps
 * that change the chain have to be followed by setup_settle() before any other.
 */
bool setup_take(struct setup *setup, const struct step *step);

/* Is it a step that may change the chain? */
bool step_changes_chain(const struct step *step);

/* Puts the chain in place: its gates begin with the state of the host, or inherit theirs. */
void setup_settle(struct setup *setup);

/* A copy that further steps do not change; setup_free() frees it. */
struct setup *setup_copy(const struct setup *setup);
void setup_free(struct setup *setup);

/* The same for a policy; policy_end() frees the entries. */
struct policy_setup policy_copy(const struct policy_setup *policy);
void policy_end(struct policy_setup *policy);

/* Changes what a policy replies, as `says` does; `changes` is the number of that change. */
void policy_says(struct policy_setup *policy, const struct step *step, unsigned int changes);

/*
 * What a gate watches: the name of a file or an origin, "RESOURCE ABOVE BELOW", times. A policy
 * without an entry watches something that does not happen by itself.
 */
struct text gate_text(const struct policy_setup *policy);

/*
 * What a helper, script or plugin replies to a URL and querier, as of the change of that number:
 * the verdict of the first entry that the URL contains, or VERDICT_NONE.
 */
uint8_t policy_reply(const struct policy_setup *policy, struct text url, const uint8_t address[16],
		     unsigned int change);

/* Minutes since Monday 00:00 of "Mon 02:30". */
unsigned int minute_of_week(struct text clock);

#endif
