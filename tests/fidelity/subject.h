/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is tested: the XDP program by test run, its maps as the daemon writes them, and the daemon's
 * chain and responder.
 */
#ifndef FIDELITY_SUBJECT_H
#define FIDELITY_SUBJECT_H

#include "oracle.h"

enum fault {
	FAULT_NONE,
	FAULT_REFUSED,	/* the configuration is refused */
	FAULT_KERNEL,	/* a wrong answer by the program */
	FAULT_WARM,	/* the same, of what it was told to remember */
	FAULT_TOUCHED,	/* a packet was passed up, but not as it came */
	FAULT_LAZY,	/* passed up, though it must be known */
	FAULT_FORGOT,	/* passed up, though it was told to remember it */
	FAULT_DAEMON,	/* a wrong answer by the daemon */
	FAULT_CHECK,	/* `check` names the wrong decider */
	FAULT_ANSWERER, /* ... or the wrong answerer */
	FAULT_MAX,
};

struct report {
	enum fault fault;
	char text[512]; /* what was expected, and what came */
};

/* Answers that were compared with what they must be, by who gave them. */
struct tally {
	uint64_t kernel; /* by what the maps know of the chain and the rules */
	uint64_t warm;	 /* by what the daemon had decided before */
	uint64_t daemon;
	uint64_t check;
	uint64_t passed; /* queries that the program left alone; no comparisons */
	uint64_t gave_up;
	uint64_t chains;
};

uint64_t tally_sum(const struct tally *tally);

struct subject;

/* NULL: `reason` says why it cannot be; empty: it must be, the kernel refuses the program. */
struct subject *subject_open(const char **reason);
void subject_close(struct subject *subject);

/* A new run: nothing is known, remembered or set. `thorough`: `check` is asked of every query. */
void subject_begin(struct subject *subject, bool thorough);

/* Follows a step, after which things are as in `setup`; `anew`: the chain is another. */
void subject_take(struct subject *subject, const struct setup *setup, const struct step *step,
		  bool anew);

/* Asks in every way there is. False: `report` tells of the first answer that is wrong. */
bool subject_ask(struct subject *subject, const struct setup *setup, const struct step *ask,
		 struct tally *tally, struct report *report);

/* The configuration that a setup comes to; list files go to `directory`, by the policies' places. */
void configuration_write(const struct setup *setup, const char *directory, FILE *out);

#endif
