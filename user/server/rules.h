/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The operators' rules, which stand before the chain: the pinned map where the kernel has one (so
 * that what bpftool does to it counts here too), else a copy of the daemon's own.
 */
#ifndef XDP_ICP_RULES_H
#define XDP_ICP_RULES_H

#include <stddef.h>

#include "lib/error.h"
#include "icp.h"
#include "xdp/rules.h"

struct rules;

/* Rules in `pinned`, which must live as long. Returns NULL without memory. */
struct rules *rules_pinned(struct pinned_rules *pinned);

/* A copy of one's own with room for `max` rules. Returns NULL without memory. */
struct rules *rules_own(size_t max);

void rules_free(struct rules *rules);

/*
 * The longest rule that is a prefix of the URL. Returns 1 and the verdict, 0 if there is none (or
 * only one that is no verdict: -EINVAL), -errno if the rules cannot be read.
 */
int rules_find(const struct rules *rules, const char *url, size_t length, enum icp_opcode *verdict);

/* `length` bytes, 0 to PREFIX_URL_MAX; an entry of the same prefix is replaced. Returns 0 or -1. */
int rules_put(struct rules *rules, const char *prefix, size_t length, enum icp_opcode verdict,
	      struct error *error);

/* Returns 0, 1 if the rule was not there, -1 and `error`. */
int rules_remove(struct rules *rules, const char *prefix, size_t length, struct error *error);

/* Calls `each` with every rule, in no order; stops when it returns other than 0, and returns that. */
int rules_each(struct rules *rules, rule_callback each, void *context, struct error *error);

/*
 * The same a few rules at a time: calls `each` with the next ones, at most RULES_STEP, and sets
 * `cursor->done` behind the last. Rules that come and go meanwhile may be missed, or seen twice.
 */
int rules_step(struct rules *rules, struct rules_cursor *cursor, rule_callback each, void *context,
	       struct error *error);

/* How many there is room for, and how many there are. */
size_t rules_max(const struct rules *rules);
size_t rules_count(struct rules *rules);

#endif
