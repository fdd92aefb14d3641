/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random scripts, the same for the same seed. */
#ifndef FIDELITY_GENERATOR_H
#define FIDELITY_GENERATOR_H

#include "script.h"

struct generator_limits {
	unsigned int rounds; /* of changes and queries after them */
	unsigned int asks;   /* queries a round */
	bool large;	     /* chains with thousands of entries, too */
	bool addresses;	     /* any querier, else the two that a wire has */
	bool watch;	     /* the daemon may fall silent */
	bool lively;	     /* time passes; what replies, and queries in flight */
	bool host;	     /* the host's load, clock and origins change as well */
};

void generate(struct script *script, uint64_t seed, const struct generator_limits *limits);

#endif
