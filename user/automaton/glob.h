/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The syntax of fnmatch(3), without flags, in the locale "C". */
#ifndef XDP_ICP_AUTOMATON_GLOB_H
#define XDP_ICP_AUTOMATON_GLOB_H

#include "automaton/tree.h"

/* Parse a pattern of whole URLs. Returns the root, or 0 with an error: what is not supported. */
uint32_t glob_parse(struct tree *tree, const char *text, size_t length, struct error *error);

#endif
