/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is tested: the XDP program by test run, its maps as the daemon writes them, and the daemon's
 * chain and responder.
 */
#ifndef FIDELITY_SUBJECT_H
#define FIDELITY_SUBJECT_H

#include "report.h"

/* Replies that were compared with what they must be, by who gave them. */
struct tally {
	uint64_t kernel; /* by what the maps know of the chain and the rules */
	uint64_t warm;	 /* by what the daemon had decided before */
	uint64_t daemon;
	uint64_t flights; /* of the daemon as well, after something else had happened */
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
void subject_begin(struct subject *subject, bool thorough, struct tally *tally);

/* Ends a run, before the texts of its script are gone. What is in flight then is lost. */
void subject_end(struct subject *subject);

/* Puts the chain of the setup, which is settled, in place of the former. */
void subject_renew(struct subject *subject, const struct setup *setup);

/* Follows a step that does not change the chain, after which things are as in `setup`. */
void subject_take(struct subject *subject, const struct setup *setup, const struct step *step);

/*
 * Asks in every way there is. A query that is begun stays in flight if a helper is waited for.
 * False: `report` tells of the first reply that is wrong.
 */
bool subject_ask(struct subject *subject, const struct setup *setup, const struct step *ask,
		 struct report *report);

/* A helper replies to a query in flight, or, as the step says, does not. Results as before. */
bool subject_reply(struct subject *subject, const struct setup *setup, const struct step *step,
		   struct report *report);

/* Are there queries in flight that began with the chain of this setup? */
bool subject_in_flight(const struct subject *subject, const struct setup *setup);

/* The setup has another chain now; those go on by the chain of `before`. */
void subject_leave_behind(struct subject *subject, const struct setup *setup,
			  const struct setup *before);

#endif
