/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the answer must be: the meaning of a chain in the plainest words there are, written from
 * the description of the policies alone, without a line of what is tested.
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
	uint8_t verdict; /* VERDICT_SILENCE: no answer */
	int cost;	 /* -1: none is told */
	enum decider decider;
	struct text name; /* of the policy, or the rule itself */
	/* Whoever knows the maps that the kernel has must be able to answer this without help. */
	bool kernel_knows;
	bool sent_up; /* by a rule without a verdict */
};

struct expected oracle_ask(const struct setup *setup, const struct step *ask);

#endif
