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

/*
 * A test. It needs no list: support/main.c runs all tests of a file, in the order in which they are
 * defined there.
 */
#define TEST(name)                                                                                 \
	static void name(void **state);                                                            \
	__attribute__((constructor)) static void add_##name(void)                                  \
	{                                                                                          \
		test_add(#name, name, NULL);                                                       \
	}                                                                                          \
	static void name(void **state)

/* A function that prepares tests or cleans up after them. Returns 0, or -1 to fail the test. */
#define FIXTURE(name) static int name(void **state)

/* Runs `setup` before and `teardown` after each of the tests that follow; either may be NULL. */
#define TEST_EACH(setup, teardown)                                                                 \
	__attribute__((constructor)) static void each_##setup(void)                                \
	{                                                                                          \
		test_each(setup, teardown);                                                        \
	}

/* Runs `setup` before and `teardown` after all tests of the file. */
#define TEST_ALL(setup, teardown)                                                                  \
	__attribute__((constructor)) static void all_##setup(void)                                 \
	{                                                                                          \
		test_all(setup, teardown);                                                         \
	}

/* Adds a test by hand, such as a row of a table; it finds `argument` in *state. */
void test_add(const char *name, CMUnitTestFunction test, void *argument);
void test_each(CMFixtureFunction setup, CMFixtureFunction teardown);
void test_all(CMFixtureFunction setup, CMFixtureFunction teardown);

/* Runs all tests. Returns how many failed. */
int test_run(void);

/* A formatted text of at most 8191 bytes, which lasts until the fourth call after this one. */
const char *formatted(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A generator of pseudo-random numbers, xorshift64: the same numbers in every run. */
uint64_t random_next(uint64_t *state);

/* A number from 0 to `below` - 1. */
uint32_t random_below(uint64_t *state, uint32_t below);

/* One of the five verdicts. */
enum icp_opcode random_verdict(uint64_t *state);

#endif
