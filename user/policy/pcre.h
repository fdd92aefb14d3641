/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bounded searches by PCRE2, for lists of patterns that have no automaton. */
#ifndef XDP_ICP_POLICY_PCRE_H
#define XDP_ICP_POLICY_PCRE_H

#include "automaton/compile.h"
#include "policy/policy.h"

struct pcre;

/* Check a pattern. Returns 0, or -1 with PCRE2's message and the offset in bytes. */
int pcre_check(const char *pattern, size_t length, size_t *offset, struct error *error);

/*
 * Compile patterns that have been checked; their answers are verdicts. NULL with an error: out of memory,
 * or one is too large for bounded searches.
 */
struct pcre *pcre_new(const struct automaton_pattern *list, size_t count, struct error *error);

/* `pcre` may be NULL. */
void pcre_free(struct pcre *pcre);

/*
 * Return the verdict of the first pattern that is found in a text of `length` bytes. A search that
 * takes too long is aborted and counts as not found. Thread-safe.
 */
struct policy_match pcre_match(const struct pcre *pcre, const char *text, size_t length);

#endif
