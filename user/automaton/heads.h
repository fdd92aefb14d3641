/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The heads of matches: the bytes that they begin with, which include/filter.h looks for. */
#ifndef XDP_ICP_AUTOMATON_HEADS_H
#define XDP_ICP_AUTOMATON_HEADS_H

#include "automaton/nfa.h"
#include "filter.h"

#define HEADS_PLACES (FILTER_STRIDE_MAX * FILTER_PLACES)

/*
 * Find for each byte which places of a match, read forward, cannot have it: bit 0 is the first of
 * HEADS_PLACES. All zero: any byte can be anywhere, or the filter would not spare enough walks to be
 * worth it, or there is no memory to find them.
 */
void heads_find(uint8_t miss[256], const struct nfa *nfa);

/* Estimate the share of the bytes of a usual URL at which a filter with this stride lets one pass. */
double heads_share(const uint8_t miss[256], unsigned int stride);

#endif
