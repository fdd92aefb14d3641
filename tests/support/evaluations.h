/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Chains for tests whose policies may have to wait for a child process. */
#ifndef XDP_ICP_TEST_EVALUATIONS_H
#define XDP_ICP_TEST_EVALUATIONS_H

#include "support/chains.h"
#include "chain/evaluation.h"
#include "helper/child.h"

#define NOTHING ICP_OP_QUERY

extern struct event_base *base;

int open_base(void **state);
int close_base(void **state);

/* Decision of a chain on a URL. */
struct verdict {
	int times;
	bool gave_up, cacheable;
	enum icp_opcode opcode;
};

void ask(struct chain *chain, const char *url, struct verdict *verdict);
enum icp_opcode wait_for(const struct verdict *verdict);
enum icp_opcode decide(struct chain *chain, const char *url);

#endif
