/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The operators' rules map on its own: all that icpctl needs where no daemon runs. */
#ifndef XDP_ICP_PINNED_RULES_H
#define XDP_ICP_PINNED_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"
#include "icp.h"
#include "maps.h"

struct pinned_rules;

/*
 * Open the rules pinned below `pin_dir`. Return 0, or -1 and `error` if there are none or their ABI
 * version differs.
 */
int pinned_rules_open(const char *pin_dir, struct pinned_rules **rules, struct error *error);
void pinned_rules_close(struct pinned_rules *rules);

/*
 * Find the longest rule that is a prefix of the URL. Return 1 and the verdict (any number if it was
 * inserted by hand), 0 if there is no such rule, -errno if the map cannot be read.
 */
int pinned_rules_find(const struct pinned_rules *rules, const char *url, size_t length,
		      enum icp_opcode *verdict);

/* Return the capacity of the map. */
size_t pinned_rules_max(const struct pinned_rules *rules);

/* Insert or replace a rule; `length` in bytes, 0 to PREFIX_URL_MAX. Return 0, or -1 and `error`. */
int pinned_rules_put(struct pinned_rules *rules, const char *prefix, size_t length,
		     enum icp_opcode verdict, struct error *error);

/* Remove a rule. Return 0, 1 if there was none, or -1 and `error`. */
int pinned_rules_remove(struct pinned_rules *rules, const char *prefix, size_t length,
			struct error *error);

#define RULES_STEP 256 /* rules per step of a walk, or of many changes */

/* A rule to insert, replace or remove; `length` in bytes, 0 to PREFIX_URL_MAX. */
struct rule_write {
	const char *prefix;
	size_t length;
	bool removes;
	enum icp_opcode verdict; /* any number; not for a removal */
};

/*
 * Make several changes in this order, at most RULES_STEP, with few system calls: one alone takes
 * longer than the kernel takes for several. What is to be removed may be missing. Return 0, or -1
 * and `error`; `*done` receives how many were made.
 */
int pinned_rules_write(struct pinned_rules *rules, const struct rule_write *writes, size_t count,
		       size_t *done, struct error *error);

/* Called with a rule; a value other than 0 ends the walk. */
typedef int (*rule_callback)(void *context, const char *prefix, size_t length,
			     enum icp_opcode verdict);

/* The position of a walk through all rules; zero-initialised. */
struct rules_cursor {
	bool done;
	size_t walked;	      /* rules */
	struct rule_key last; /* the position in a pinned map once `walked` is not 0 */
};

/*
 * Call `each` with the next rules, at most RULES_STEP, in no order, until it returns other than 0;
 * set `cursor->done` after the last one. An entry inserted by hand may have any number as its
 * verdict; a length that is not in whole bytes is rounded down. The walk ends even if the map
 * changes all the time. Return what `each` returned last, 0 if it was not called, or -1 and
 * `error`.
 */
int pinned_rules_step(struct pinned_rules *rules, struct rules_cursor *cursor, rule_callback each,
		      void *context, struct error *error);

/* Walk through all rules, likewise. */
int pinned_rules_each(struct pinned_rules *rules, rule_callback each, void *context,
		      struct error *error);

#endif
