/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For the part that goes over the wire (test_fidelity.py). Both return an exit code. */
#ifndef FIDELITY_WIRE_H
#define FIDELITY_WIRE_H

#include <stdint.h>

/* Prints a script of what can be done there. */
int wire_script(uint64_t seed);

/*
 * Reads a script from standard input and prints lines of
 *	STEP VERDICT COST DECIDER WHO NAME
 * For a query: what must be replied, by `kernel` or `any`; then, with the decider `memory`, what
 * the kernel may reply by a decision that it remembers. The decider `flight` is a query that has to
 * wait. For a step after which a query in flight is answered: that reply.
 */
int wire_expectations(void);

#endif
