/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A change of many rules: all of it or nothing. It is checked as a whole, and for room, before the
 * first rule is written; if a write fails nevertheless, those before it are undone.
 *
 * A lookup of a URL meanwhile, in the kernel or in the daemon, finds what decided it before the
 * change or what will decide it afterwards, never anything else, and changes from one to the other
 * once. No lock could ensure that in a map that the kernel reads; the order of the writes does.
 * First, rules are inserted and replaced, the longest first: shorter rules than the one that is to
 * decide a URL are written after it, when they no longer matter for that URL. Then the others are
 * removed, the shortest first: the rule that still decides a URL is the last of those that match it
 * to be removed. A lookup goes from the shorter rules to the longer ones, so that it may overlap
 * with the first writes, and with one removal; during two nested ones it could find the shorter
 * rule.
 *
 * Rules none of which is a prefix of another never match the same URL. So the change goes from one
 * family of rules, those that begin with the same one, to the next, in the order that needs the least
 * room: a nearly full map can be changed as well.
 */
#ifndef XDP_ICP_RULE_CHANGE_H
#define XDP_ICP_RULE_CHANGE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"
#include "server/rules.h"

struct rule_change;

/*
 * Begin a change of `rules`, which must outlive it; `replace`: all other rules are to be removed.
 * NULL: out of memory.
 */
struct rule_change *rule_change_new(struct rules *rules, bool replace);
void rule_change_free(struct rule_change *change); /* NULL is ignored */

/*
 * Add a rule to be inserted or replaced, or (ICP_OP_INVALID) removed; `length` in bytes. Before the
 * first step. Return 0, or -1 and `error`.
 */
int rule_change_add(struct rule_change *change, const char *prefix, size_t length,
		    enum icp_opcode verdict, struct error *error);

enum rule_change_state {
	RULE_CHANGE_RUNS, /* there are more steps */
	RULE_CHANGE_DONE,
	RULE_CHANGE_MISSING, /* a rule to be removed does not exist */
	RULE_CHANGE_FAILED,
};

/*
 * Do a part of the work, which reads or writes RULES_STEP rules. After RULE_CHANGE_MISSING and
 * RULE_CHANGE_FAILED, `error` is set, and the rules are as before, or `error` says that they are
 * not. No more steps follow any state but RULE_CHANGE_RUNS.
 */
enum rule_change_state rule_change_step(struct rule_change *change, struct error *error);

/* Have rules been written? Then the steps must go on to the end. */
bool rule_change_writes(const struct rule_change *change);

/* Return how many rules have been written, and how many are to be; 0 until that is known. */
size_t rule_change_written(const struct rule_change *change, size_t *all);

/* Return how many rules are removed, once the change is done. */
size_t rule_change_removed(const struct rule_change *change);

#endif
