/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which of many texts does a text contain? An automaton after Aho and Corasick: one walk over the
 * text, however many are searched for. It takes 13 bytes for each byte that the texts do not
 * have in common at their beginnings.
 */
#ifndef XDP_ICP_TEXT_SEARCH_H
#define XDP_ICP_TEXT_SEARCH_H

#include <stddef.h>

#define TEXT_SEARCH_NONE ((size_t)-1)

struct text_search;

/* A search for `count` texts of `lengths` bytes each. NULL: out of memory, or 4 GB of texts. */
struct text_search *text_search_new(const char *const *texts, const size_t *lengths, size_t count);

/* `search` may be NULL. */
void text_search_free(struct text_search *search);

/*
 * The number of the text that stands first in the list among those that `text` contains, or
 * TEXT_SEARCH_NONE. An empty text is contained in all.
 */
size_t text_search_first(const struct text_search *search, const char *text, size_t length);

#endif
