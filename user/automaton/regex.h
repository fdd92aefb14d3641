/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The syntax of PCRE2 (pcre2pattern(3)), as far as it describes regular languages: alternatives,
 * repetitions (greedy or lazy), groups of all kinds that only group, classes, \d \D \w \W \s \S \h \H
 * \v \V \N, characters by number, \Q...\E, \b \B, anchors, options, comments. For URLs: bytes, no
 * UTF-8, no white space, so that `.` is any byte and `$` the end.
 */
#ifndef XDP_ICP_AUTOMATON_REGEX_H
#define XDP_ICP_AUTOMATON_REGEX_H

#include "automaton/tree.h"

/*
 * Parse a pattern that is valid to PCRE2. Returns the root, or 0 with an error: what the pattern has
 * that is not regular, or about which versions of PCRE2 differ.
 */
uint32_t regex_parse(struct tree *tree, const char *text, size_t length, struct error *error);

#endif
