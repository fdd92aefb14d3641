/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists of patterns, and the automaton that matches a whole list in one pass. The XDP program walks
 * the same automaton, so that the two cannot differ.
 */
#ifndef XDP_ICP_POLICY_PATTERNS_H
#define XDP_ICP_POLICY_PATTERNS_H

#include "automaton/compile.h"
#include "automaton/pack.h"
#include "policy/policy.h"

/* A list while it is read. Zero-initialised is empty. */
struct patterns {
	struct automaton_pattern *list; /* `text` is valid after patterns_list() */
	size_t count;
	char *bytes; /* of the texts, each with a NUL */
	size_t used, allocated;
};

/* Append a copy of a text. Returns 0, or -1: out of memory. */
int patterns_add(struct patterns *patterns, const char *text, size_t length,
		 enum icp_opcode verdict);

/* Return the list, which is valid until the next change; its answers are verdicts. Fills in `text`. */
const struct automaton_pattern *patterns_list(struct patterns *patterns);

void patterns_free(struct patterns *patterns);

/* The automaton of a policy. Zero-initialised is none. */
struct pattern_automaton {
	struct automaton *automaton;   /* NULL: refused; the kind has to match by other means */
	struct automaton_group *group; /* of it alone */
	struct error reason;	       /* why it was refused */
};

/* Compile the list of a policy, with its `not`. */
void pattern_automaton_compile(struct pattern_automaton *made, enum automaton_syntax syntax,
			       struct patterns *patterns, const struct policy *policy);

/* As policy_kind.match, by an automaton that was not refused. */
struct policy_match pattern_automaton_match(const struct pattern_automaton *made,
					    const struct policy *policy, const struct query *query);

/* As policy_kind.automaton. */
const struct automaton *pattern_automaton_get(const struct pattern_automaton *made,
					      const char **reason);

void pattern_automaton_free(struct pattern_automaton *made);

#endif
