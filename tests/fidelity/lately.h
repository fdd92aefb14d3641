/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What policies of the kind recent were told lately, in the plainest words there are. */
#ifndef FIDELITY_LATELY_H
#define FIDELITY_LATELY_H

#include "setup.h"

#define LATELY_MOST 8	    /* keys that such a policy of a script may have */
#define LATELY_IN_KERNEL 4  /* policies of a chain */
#define LATELY_LONGEST 104u /* bytes of a key in the kernel */
#define LATELY_LONG 1000    /* seconds: a window that no script outlasts */

/* A policy's settings, as its entries have them. */
struct lately_settings {
	char key[16];
	bool query;
	unsigned int window; /* seconds */
	unsigned int most;
};

struct lately_settings lately_settings(const struct policy_setup *policy);

/* Forget everything: a run begins. */
void lately_begin(void);

/* The milliseconds that have passed since then. */
void lately_time(uint64_t now);

/* A policy is new, or goes on with what `former` knows (0: nothing). Returns what it knows. */
unsigned int lately_new(unsigned int former);

/* The policy's feed has a URL, or it is taken back. */
void lately_tell(const struct policy_setup *policy, struct text url, bool on);

/* Does the policy match, disregarding `not`? */
bool lately_matches(const struct policy_setup *policy, struct text url);

/* Has the kernel the key that the policy wants of a URL, if it has what the policy knows? */
bool lately_is_short(const struct policy_setup *policy, struct text url);

/* Has it all those that the policies whose knowledge it has want of the URL? */
bool lately_fits(const struct setup *setup, struct text url);

#endif
