/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state of a run, shared by what sets it up (setup.c), sends (send.c) and measures (run.c). */
#ifndef XDP_ICP_BLAST_STATE_H
#define XDP_ICP_BLAST_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "icpblast/run.h"
#include "icpblast.skel.h"

#define SECOND 1000000000ull

struct generator {
	struct run *run;
	pthread_t thread;
	int core;
	__u32 number; /* from 0 to generator_count - 1 */
	__u64 budget; /* queries to send */
	atomic_bool done;
	int code; /* an errno, or 0 */
};

struct run {
	const struct blast_job *job;
	struct icpblast_bpf *skeleton;
	int attachment; /* descriptor that keeps the check attached, or -1 */
	int *ports;	/* sockets bound to the source ports */
	size_t port_count;
	size_t query_size, draw_count;
	unsigned char *queries; /* this and the next two are mapped from the kernel */
	__u32 *draws;
	struct blast_slot *slots;
	struct generator *generators;
	__u32 generator_count;
	struct blast_counts socket_counts; /* what was sent by packet sockets */
	pthread_mutex_t lock;		   /* of socket_counts */
	atomic_bool stop;
};

static inline const struct blast_query *query_of(const struct run *run, __u32 index)
{
	return (const struct blast_query *)(run->queries + index * run->query_size);
}

/*
 * Load the programs, fill the maps, bind the source ports and attach the check of the replies.
 * Returns 0, or -1 with an error.
 */
int blast_setup(struct run *run, struct error *error);

/* Undo it; also after a setup that failed. */
void blast_teardown(struct run *run);

/* Where a generator begins in the draws, and which slots belong to it. */
struct blast_sender blast_sender_of(const struct run *run, const struct generator *generator);

/* Send until the budget is used up or run->stop is set; an error is left in generator->code. */
void blast_send_live(struct generator *generator);
void blast_send_by_socket(struct generator *generator);

#endif
