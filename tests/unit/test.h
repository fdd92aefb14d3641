/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all unit tests share: cmocka with what it needs before it, and numbers that repeat. */
#ifndef XDP_ICP_TEST_H
#define XDP_ICP_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "icp.h"

/* The head of a test; cmocka's state is of no use here. */
#define TEST(name) static void name(void **state __attribute__((unused)))

/* A generator of pseudo-random numbers, xorshift64: the same numbers in every run. */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A number from 0 to `below` - 1. */
static inline uint32_t random_below(uint64_t *state, uint32_t below)
{
	return (random_next(state) >> 20) % below;
}

/* One of the five verdicts. */
static inline enum icp_opcode random_verdict(uint64_t *state)
{
	static const enum icp_opcode verdicts[] = { ICP_OP_HIT, ICP_OP_MISS, ICP_OP_ERR,
						    ICP_OP_MISS_NOFETCH, ICP_OP_DENIED };

	return verdicts[random_below(state, 5)];
}

#endif
