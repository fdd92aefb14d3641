/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Chains for tests, from the text of a configuration. */
#ifndef XDP_ICP_TEST_CHAINS_H
#define XDP_ICP_TEST_CHAINS_H

#include "chain/chain.h"
#include "chain/compile.h"
#include "support/test.h"

/* Create a chain from the text, or return NULL with an error. Errors call the text `c`. */
struct chain *try_chain(const char *text, struct error *error);
struct chain *make_chain(const char *text);

/* Decide without waiting: policies that would have to wait do not match. */
struct chain_decision decide_url(const struct chain *chain, const char *url);

/* Compile a chain, which must outlive the result, for compiled_free(). */
struct compiled *compile(const struct chain *chain);

/* Expect this error for the text. */
void assert_chain_error(const char *text, const char *expected);

/* Expect a state of a policy, which began lately, with name and reasons that fit (fnmatch()). */
void assert_state(const struct policy *policy, const char *name, const char *why);

#define LIST_PATH_SIZE 64

/* Writes a list file that is removed with unlink(); `path` is its name. */
void write_list(char path[LIST_PATH_SIZE], const void *content, size_t size);

#endif
