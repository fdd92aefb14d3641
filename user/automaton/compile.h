/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compiles a list of patterns to an automaton, which finds for a URL of any length the answer of
 * the first listed pattern that matches. pack.h packs automata into groups that can be walked.
 */
#ifndef XDP_ICP_AUTOMATON_COMPILE_H
#define XDP_ICP_AUTOMATON_COMPILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "automaton.h"
#include "lib/error.h"

enum automaton_syntax {
	AUTOMATON_REGEX,     /* found anywhere; PCRE2's, as far as it is regular: see regex.h */
	AUTOMATON_GLOB,	     /* the whole URL; fnmatch()'s without flags, in the locale "C" */
	AUTOMATON_SUBSTRING, /* found anywhere; a text */
};

struct automaton_pattern {
	const char *text; /* not NUL-terminated */
	size_t length;	  /* bytes */
	uint16_t answer;  /* the caller's number; AUTOMATON_NO_ANSWER is one too */
};

/* The states are numbered from 0. The first are the sinks, one for each answer, of itself. */
struct automaton {
	bool backward; /* reads from the last byte to the first */
	uint32_t states;
	uint32_t sinks;	  /* of them */
	uint32_t classes; /* of bytes; NUL, the end of the URL, is class 0 */
	uint32_t cells;	  /* that the states behind the sinks take in a group */
	uint32_t start;	  /* state */
	uint16_t answers[AUTOMATON_ANSWERS + 1]; /* of the sinks; first AUTOMATON_NO_ANSWER */
	uint8_t class[256];
	uint8_t miss[256]; /* as heads_find(); all zero if URLs without a match have an answer */
	uint32_t *next;	   /* `classes` for each state */
};

/*
 * Compile a list of patterns: URLs that a pattern matches have the answer of the first such pattern
 * in the list, all others the answer `otherwise`. For what URLs consist of, see automaton.h.
 * The caller has checked that PCRE2 accepts the regular expressions, and that no glob ends in a
 * lone backslash. Time and memory are bounded, whatever the patterns are.
 *
 * Returns an automaton to be freed with automaton_free(), or NULL with an error: the pattern and why
 * it cannot be compiled. May be called by several threads at a time.
 */
struct automaton *automaton_compile(enum automaton_syntax syntax,
				    const struct automaton_pattern *patterns, size_t count,
				    uint16_t otherwise, struct error *error);

/* Does the filter (include/filter.h) spare most walks of this automaton? */
bool automaton_is_spared(const struct automaton *automaton);

/* NULL is ignored. */
void automaton_free(struct automaton *automaton);

#endif
