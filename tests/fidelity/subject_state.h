/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The insides of the subject, for subject.c and ask.c. */
#ifndef FIDELITY_SUBJECT_STATE_H
#define FIDELITY_SUBJECT_STATE_H

#include "support/chains.h"
#include "flight.h"
#include "xdp/kernel.h"
#include "support/program.h"
#include "server/responder.h"
#include "subject.h"

struct subject {
	struct program program;
	struct kernel *kernel;
	struct rules *rules;
	struct responder responder;
	struct chain *chain;
	struct compiled *compiled;
	struct memory memory; /* what the oracle remembers */
	struct flights flights;
	char directory[PATH_MAX / 2];
	bool refused;
	struct error error;
	bool remembered; /* by the last query */
	bool watched;
	uint64_t asked;
	bool thorough;	 /* `check` is asked of every query */
	uint32_t number; /* of the request */
	struct tally *tally;
	struct query_packet packet;
	struct bytes out;
};

#endif
