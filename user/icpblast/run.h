/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A run: load and attach the programs, send queries, count replies, and remove everything. */
#ifndef XDP_ICP_BLAST_RUN_H
#define XDP_ICP_BLAST_RUN_H

#include <sched.h>

#include "icpblast/path.h"
#include "icpblast/queries.h"

enum blast_sending {
	BLAST_SENDING_AUTO,   /* live frames, if the interface takes them and the rate needs them */
	BLAST_SENDING_LIVE,   /* by BPF_PROG_RUN: keeps a core busy */
	BLAST_SENDING_SOCKET, /* by a packet socket: the core sleeps between queries */
};

/* Up to this rate, in queries a second, a packet socket keeps up and leaves the core to others. */
#define BLAST_SOCKET_RATE 10000

struct blast_job {
	struct blast_path path;
	struct blast_config config; /* all but what depends on the queries */
	struct blast_urls urls;
	enum blast_sending sending; /* not AUTO */
	cpu_set_t cores;	    /* one generator on each */
	double zipf;		    /* 0: uniformly */
	__u64 seed;
	__u64 rate;   /* queries a second, of all cores; 0: unlimited */
	__u64 number; /* queries; 0: until the time is up */
	double time;  /* seconds; 0: until the number is sent */
	bool quiet;   /* no progress */
};

struct blast_result {
	struct blast_counts counts;  /* of the whole run */
	double seconds;		     /* from the start until no more queries are sent */
	double sent_rate, good_rate; /* a second, within this time */
};

/* Sums over all opcodes: correct replies, incorrect ones, and queries without a reply. */
__u64 blast_good(const struct blast_counts *counts);
__u64 blast_bad(const struct blast_counts *counts);
__u64 blast_lost(const struct blast_counts *counts);

/*
 * Returns 0, or -1 with an error. SIGINT and SIGTERM end the run early, with a result: the first
 * ends the sending, another one the wait for replies.
 */
int blast_run(const struct blast_job *job, struct blast_result *result, struct error *error);

#endif
