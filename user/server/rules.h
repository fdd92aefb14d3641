/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The operators' rules, which come before the chain: the pinned map if there is one (so that
 * changes by bpftool take effect here too), else a table in the daemon.
 */
#ifndef XDP_ICP_RULES_H
#define XDP_ICP_RULES_H

#include <stddef.h>

#include "lib/byteset.h"
#include "lib/error.h"
#include "icp.h"
#include "xdp/rules.h"

struct rules;

/* Use the rules in `pinned`, which must outlive the result. Return NULL without memory. */
struct rules *rules_pinned(struct pinned_rules *pinned);

/* Create an empty table for `max` rules. Return NULL without memory. */
struct rules *rules_local(size_t max);

void rules_free(struct rules *rules);

/*
 * Find the longest rule that is a prefix of the URL. Return 1 and the verdict, 0 if there is none,
 * -EINVAL if its value is not a verdict, -errno if the rules cannot be read.
 */
int rules_find(const struct rules *rules, const char *url, size_t length, enum icp_opcode *verdict);

/* Insert or replace a rule; `length` in bytes, 0 to PREFIX_URL_MAX. Return 0, or -1 and `error`. */
int rules_put(struct rules *rules, const char *prefix, size_t length, enum icp_opcode verdict,
	      struct error *error);

/* Remove a rule. Return 0, 1 if there was none, or -1 and `error`. */
int rules_remove(struct rules *rules, const char *prefix, size_t length, struct error *error);

/* Return whether the rules are in a table in the daemon. */
bool rules_are_local(const struct rules *rules);

/*
 * Replace all rules of a table in the daemon by a set that is finished, owned from now on. Many single
 * changes would take a time quadratic in the number of rules.
 */
void rules_replace(struct rules *rules, struct byteset *set);

/*
 * Make several changes of pinned rules in this order, at most RULES_STEP. What is to be removed may be
 * missing. Return 0, or -1 and `error`; `*done` receives how many were made.
 */
int rules_write(struct rules *rules, const struct rule_write *writes, size_t count, size_t *done,
		struct error *error);

/*
 * Call `each` with the next rules, at most RULES_STEP, and set `cursor->done` after the last one.
 * Rules that are inserted or removed during a walk may be missed, or seen twice.
 */
int rules_step(struct rules *rules, struct rules_cursor *cursor, rule_callback each, void *context,
	       struct error *error);

/* Return the capacity. */
size_t rules_max(const struct rules *rules);

#endif
