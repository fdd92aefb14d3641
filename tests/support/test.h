/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all unit tests share: cmocka with what it needs before it, and numbers that repeat. */
#ifndef XDP_ICP_TEST_H
#define XDP_ICP_TEST_H

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "icp.h"

/* The head of a test; cmocka's state is of no use here. */
#define TEST(name) static void name(void **state __attribute__((unused)))

/* A generator of pseudo-random numbers, xorshift64: the same numbers in every run. */
uint64_t random_next(uint64_t *state);

/* A number from 0 to `below` - 1. */
uint32_t random_below(uint64_t *state, uint32_t below);

/* One of the five verdicts. */
enum icp_opcode random_verdict(uint64_t *state);

#endif
