/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the steps so far have come to: the policies with their entries, flags, rules, the drain. */
#ifndef FIDELITY_SETUP_H
#define FIDELITY_SETUP_H

#include "script.h"

#define POLICIES_MAX 64
#define RULES_MAX 60
#define FLAGS_MAX 26 /* letters */

struct entry {
	struct text text;
	uint8_t verdict; /* its own, or VERDICT_NONE */
	bool in_file;
};

struct policy_setup {
	struct text name;
	enum kind kind;
	uint8_t verdict;
	int cost; /* -1: none */
	bool negate;
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
	bool flags[FLAGS_MAX];
	size_t policy_count, rule_count;
	struct policy_setup policies[POLICIES_MAX]; /* in the byte order of their names */
	struct rule_setup rules[RULES_MAX];
};

void setup_begin(struct setup *setup);
void setup_end(struct setup *setup);

/* Takes a step. True: the chain is another one now. What makes no sense changes nothing. */
bool setup_take(struct setup *setup, const struct step *step);

#endif
