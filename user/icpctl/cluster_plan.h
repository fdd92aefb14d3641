/* SPDX-License-Identifier: GPL-2.0-or-later */
/* icpctl cluster plan: its options, which are read with those of `icpctl cluster`, and the command. */
#ifndef XDP_ICP_ICPCTL_CLUSTER_PLAN_H
#define XDP_ICP_ICPCTL_CLUSTER_PLAN_H

#include "icpctl/icpctl.h"
#include "icpctl/plan_input.h"
#include "icpctl/plan_map.h"

struct cluster_plan {
	struct icpctl *ctl;
	const char *key;     /* NULL: the whole URL */
	bool no_query;	     /* the query is no part of keys */
	const char *members; /* a file; NULL: the daemon knows them */
	const char *svg;     /* a file to write; NULL: none */
	bool suggest;
	struct plan_input input;
	struct plan_change *changes;
	size_t change_count;
};

/* A child of the command's parser, with a struct cluster_plan as its input. */
extern const struct argp cluster_plan_options;

/* Run it on a file, or "-". `cluster` NULL: the only one. Returns an exit status. */
int cluster_plan_run(const struct cluster_plan *plan, const char *cluster, const char *file);

#endif
