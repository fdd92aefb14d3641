/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Single policies for tests, from the text between the braces of a configuration. */
#ifndef XDP_ICP_TEST_POLICIES_H
#define XDP_ICP_TEST_POLICIES_H

#include <event2/event.h>

#include "support/chains.h"
#include "config/config.h"
#include "policy/policy.h"

#define NOTHING ICP_OP_INVALID

/* The spec of the policy `p`; errors call the text `c`. */
struct config *make_config(const char *settings, struct error *error);

/* A policy, or NULL and an error. */
struct policy *try_policy(const char *settings, struct error *error);
struct policy *make_policy(const char *settings);
void assert_policy_error(const char *settings, const char *expected);

/* --- policies with a file */

/* Create a policy whose file has this content. */
struct policy *make_file_policy(const char *settings, const void *content, size_t size);

/* Expect an error for the content, in which FILE stands for the file's path. */
void assert_file_error(const char *settings, const void *content, size_t size,
		       const char *expected);

/* The same with a file from a literal. */
#define MAKE_LISTED(settings, list) make_file_policy(settings, list, sizeof(list) - 1)
#define LIST_ERROR(settings, list, expected)                                                       \
	assert_file_error(settings, list, sizeof(list) - 1, expected)

/* --- policies that watch files */

/* Fixtures: make a directory, and remove it once it is empty again. */
int make_top(void **state);
int remove_top(void **state);

/* A path below that directory; the last four are kept. */
const char *below(const char *name);

/* --- queries */

enum icp_opcode ask_url(const struct policy *policy, const char *url);

/* Verdict of a policy on the host's state. */
enum icp_opcode ask_host(const struct policy *policy);

/* The query comes from an IPv6 address if there is a 6 in the URL, else from an IPv4 one. */
void assert_said(const struct policy *policy, const char *url, enum icp_opcode verdict);
void assert_gave_up(const struct policy *policy, const char *url);

/* --- policies on the host's state */

/* Records changes of a gate. */
struct witness {
	struct event_base *base;
	unsigned int told;
	const struct policy *policy; /* of the last time */
	enum icp_opcode said;	     /* its verdict at that time */
};

/* For the kind's start(): records the change, and ends the loop. */
void witness_changed(void *context, struct policy *policy);
void witness_start(struct witness *witness, struct policy *policy);

/* Run the event loop until the `count`th change is reported; fail after a minute. */
void witness_wait(struct witness *witness, unsigned int count);

#endif
