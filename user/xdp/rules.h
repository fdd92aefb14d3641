/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The operators' rules map by itself: all that icpctl needs where no daemon runs. */
#ifndef XDP_ICP_PINNED_RULES_H
#define XDP_ICP_PINNED_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"
#include "icp.h"
#include "maps.h"

struct pinned_rules;

/* Returns 0, or -1 and `error` if nothing is pinned below `pin_dir` or not of this ABI version. */
int pinned_rules_open(const char *pin_dir, struct pinned_rules **rules, struct error *error);
void pinned_rules_close(struct pinned_rules *rules);

/*
 * The longest rule that is a prefix of the URL. Returns 1 and the verdict (which may be none, if
 * put in by hand), 0 if there is no such rule, -errno if the map cannot be read.
 */
int pinned_rules_find(const struct pinned_rules *rules, const char *url, size_t length,
		      enum icp_opcode *verdict);

/* How many rules the map has room for. */
size_t pinned_rules_max(const struct pinned_rules *rules);

/* `length` bytes, 0 to PREFIX_URL_MAX; an entry of the same prefix is replaced. Returns 0 or -1. */
int pinned_rules_put(struct pinned_rules *rules, const char *prefix, size_t length,
		     enum icp_opcode verdict, struct error *error);

/* Returns 0, 1 if the rule was not there, -1 and `error`. */
int pinned_rules_remove(struct pinned_rules *rules, const char *prefix, size_t length,
			struct error *error);

#define RULES_STEP 256 /* rules of one step through all of them */

/* Told of a rule; other than 0: that is enough. */
typedef int (*rule_taker)(void *context, const char *prefix, size_t length,
			  enum icp_opcode verdict);

/* A place in a walk through all rules; begins as zeroes. */
struct rules_cursor {
	bool done;
	size_t walked;	      /* rules */
	struct rule_key last; /* where a pinned map goes on, if some are walked */
};

/*
 * Calls `each` with the next rules, at most RULES_STEP, in no order, until it returns other than 0,
 * and sets `cursor->done` behind the last. An entry put in by hand may have any number for a
 * verdict; one whose length is not in whole bytes is rounded down. A map that is changed all the
 * time is not walked for ever. Returns what `each` returned last, 0 if there was none, or -1 and
 * `error`.
 */
int pinned_rules_step(struct pinned_rules *rules, struct rules_cursor *cursor, rule_taker each,
		      void *context, struct error *error);

/* All of them, in the same way. */
int pinned_rules_each(struct pinned_rules *rules, rule_taker each, void *context,
		      struct error *error);

#endif
