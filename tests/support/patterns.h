/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random patterns, and texts that they may match, for the tests of automata. */
#ifndef XDP_ICP_PATTERNS_H
#define XDP_ICP_PATTERNS_H

#include "automaton/compile.h"
#include "support/test.h"

#define PATTERN_MAX 400 /* bytes */

struct pattern_text {
	char bytes[PATTERN_MAX];
	size_t length;
};

/* Make a pattern, which need not be valid, of few different letters. */
void random_pattern(struct pattern_text *text, uint64_t *seed, enum automaton_syntax syntax);

/*
 * Make a text of bytes that URLs consist of, and return its length, at most `max`. It is one of
 * these: a text that avoids the sinks of an automaton as long as possible, so that it nearly
 * matches; pieces of patterns; or a text with a byte changed, inserted or removed.
 */
size_t walk_text(char *text, size_t max, uint64_t *seed, const struct automaton *automaton);
size_t pieces_text(char *text, size_t max, uint64_t *seed, const struct pattern_text *patterns,
		   size_t count);
size_t mutate_text(char *text, size_t length, size_t max, uint64_t *seed);

#endif
