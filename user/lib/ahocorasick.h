/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Search a text for many patterns in one pass, however many there are: the automaton of Aho and
 * Corasick. It takes 13 bytes for each byte of the patterns, common prefixes counted once.
 */
#ifndef XDP_ICP_AHOCORASICK_H
#define XDP_ICP_AHOCORASICK_H

#include <stddef.h>

#define AHOCORASICK_NONE ((size_t)-1)

struct ahocorasick;

/* Build an automaton for `count` patterns of `lengths` bytes. NULL: out of memory, or 4 GB. */
struct ahocorasick *ahocorasick_new(const char *const *patterns, const size_t *lengths,
				    size_t count);

/* NULL is ignored. */
void ahocorasick_free(struct ahocorasick *automaton);

/*
 * Return the lowest index of a pattern that `text` contains, or AHOCORASICK_NONE. Every text
 * contains an empty pattern.
 */
size_t ahocorasick_first(const struct ahocorasick *automaton, const char *text, size_t length);

#endif
