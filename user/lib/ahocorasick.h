/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which of many texts does a text contain? An automaton after Aho and Corasick: one walk over the
 * text, however many are searched for. It takes 13 bytes for each byte that the texts do not
 * have in common at their beginnings.
 */
#ifndef XDP_ICP_AHOCORASICK_H
#define XDP_ICP_AHOCORASICK_H

#include <stddef.h>

#define AHOCORASICK_NONE ((size_t)-1)

struct ahocorasick;

/* A search for `count` texts of `lengths` bytes each. NULL: out of memory, or 4 GB of texts. */
struct ahocorasick *ahocorasick_new(const char *const *texts, const size_t *lengths, size_t count);

/* `search` may be NULL. */
void ahocorasick_free(struct ahocorasick *search);

/*
 * The number of the text that stands first in the list among those that `text` contains, or
 * AHOCORASICK_NONE. An empty text is contained in all.
 */
size_t ahocorasick_first(const struct ahocorasick *search, const char *text, size_t length);

#endif
