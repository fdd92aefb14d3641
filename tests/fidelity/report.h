/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A difference between what must be and what is. */
#ifndef FIDELITY_REPORT_H
#define FIDELITY_REPORT_H

#include "oracle.h"

enum fault {
	FAULT_NONE,
	FAULT_REFUSED,	/* the configuration is refused */
	FAULT_KERNEL,	/* a wrong reply by the program */
	FAULT_WARM,	/* the same, of what it was told to remember */
	FAULT_TOUCHED,	/* a packet was passed up, but not as it came */
	FAULT_LAZY,	/* passed up, though it must be known */
	FAULT_FORGOT,	/* passed up, though it was told to remember it */
	FAULT_DAEMON,	/* a wrong reply by the daemon */
	FAULT_FLIGHT,	/* the same, to a query that was in flight */
	FAULT_CHECK,	/* `check` names the wrong decider */
	FAULT_ANSWERER, /* ... or the wrong answerer */
	FAULT_MAX,
};

extern const char *const fault_names[FAULT_MAX];

struct report {
	enum fault fault;
	char text[512]; /* what was expected, and what came */
};

/* Fills the report; always false. */
bool wrong(struct report *report, enum fault fault, const struct expected *expected,
	   const char *got);

#endif
