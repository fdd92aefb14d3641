/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A policy, and what a kind of policies has to bring along. A new kind is one new file and one
 * line in policy_kinds.c.
 */
#ifndef XDP_ICP_POLICY_H
#define XDP_ICP_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/error.h"
#include "icp.h"
#include "policy/spec.h"
#include "icp/query.h"

struct netset;
struct event_base;
struct policy;
struct byteset;

/* A setting that a kind takes, besides those that all kinds take. */
struct policy_setting {
	const char *name;
	const char *help;
	bool list;     /* takes many values */
	bool required; /* there must be one */
	const char
		*replaced_by; /* it is no longer taken; the name of the one that took its place */
};

#define POLICY_TTL_URL ((unsigned int)-1)

/* What a policy says to a query. */
struct policy_match {
	enum icp_opcode verdict; /* ICP_OP_INVALID: nothing, the policy does not match */
	bool gave_up;		 /* it had to stop at a limit; counts as no match */
};

/* What a policy's word rests on: where it can be evaluated, and for how long it can be remembered. */
enum policy_basis {
	POLICY_BASIS_URL,    /* the URL alone; true as long as the chain is */
	POLICY_BASIS_SOURCE, /* the querier's address alone */
	POLICY_BASIS_HOST,   /* the host's state alone: a gate, open or shut for every query */
	POLICY_BASIS_OTHER,  /* whatever it looks at, the URL and the source among it */
};

/* A query to a policy that has to wait before it can return a match. Embed it in the caller's state. */
struct policy_request {
	/*
	 * Called once, from the event loop, never from within ask(). It may free the policy.
	 */
	void (*done)(struct policy_request *request, struct policy_match match);
};

/* Called when a policy on the host's state begins or ceases to match. */
typedef void (*policy_changed)(void *context, const struct policy *policy);

struct policy_kind {
	const char *name;
	const char *help;
	enum policy_basis basis;
	const struct policy_setting *settings; /* ends with a name of NULL */
	bool main_thread; /* only that may call match() and ask(), else any, many at a time */

	/*
	 * Makes policy->state. The common members of `policy` are filled; `verdict` is
	 * ICP_OP_INVALID if the spec has none, and the kind must then find one for whatever it
	 * matches. -1 with an error, the state released.
	 */
	int (*create)(struct policy *policy, const struct policy_spec *spec, struct error *error);
	void (*destroy)(struct policy *policy);

	/* Answers as if there were no `not`. */
	struct policy_match (*match)(const struct policy *policy, const struct query *query);

	/*
	 * For kinds that watch or serve, else NULL: begins to, on the event loop. Called once,
	 * before the policy is asked; destroy() ends it. Returns 0, or -1 and an error.
	 */
	int (*start)(struct policy *policy, struct event_base *base, policy_changed changed,
		     void *context, struct error *error);

	/*
	 * For kinds whose word depends on what they have seen before, else NULL: begins where
	 * `former` stands, a policy of the same name and kind, if it watches the same thing. Called
	 * at most once, before start().
	 */
	void (*inherit)(struct policy *policy, const struct policy *former);

	/*
	 * For kinds that may have to wait, else NULL: asks, and leaves the answer to
	 * request->done(); the query is copied as far as it is needed. If the policy is
	 * destroyed meanwhile the question is answered with nothing. False: there is nothing to
	 * wait for, match() has the answer.
	 */
	bool (*ask)(const struct policy *policy, const struct query *query,
		    struct policy_request *request);

	/* POLICY_BASIS_SOURCE: the addresses that it matches. */
	const struct netset *(*sources)(const struct policy *policy);

	/*
	 * All that the policy knows as a set of prefixes of the URL with its NUL, of which the
	 * longest decides. A kind without this member cannot be evaluated in the kernel.
	 */
	const struct byteset *(*prefixes)(const struct policy *policy);
};

struct policy {
	char *name;
	const struct policy_kind *kind;
	enum icp_opcode verdict; /* ICP_OP_INVALID: every entry of the policy has its own */
	int cost;		 /* 0 to 65535, or ICP_NO_COST */
	bool negate;		 /* gives its verdict where it does not match */
	/*
	 * Seconds that the word of a POLICY_BASIS_OTHER may be remembered; 0: not at all;
	 * POLICY_TTL_URL: as long as the chain, for the URL alone decides.
	 */
	unsigned int ttl;
	void *state; /* the kind's */
};

/* The kinds there are, in the order in which they are shown; ends with NULL. */
extern const struct policy_kind *const policy_kinds[];

/* The settings that every kind takes; ends with a name of NULL. */
extern const struct policy_setting policy_common_settings[];

/* Makes a policy of what was written down. -1 with an error that names the place. */
int policy_create(const struct policy_spec *spec, struct policy **policy, struct error *error);

/* `policy` may be NULL. */
void policy_free(struct policy *policy);

/* What the policy says to a query, `not` included. */
struct policy_match policy_match(const struct policy *policy, const struct query *query);

/* What the kind's word, from match() or to a question, means with `not`. */
struct policy_match policy_apply_not(const struct policy *policy, struct policy_match match);

/* Whether the policy's word may be remembered for a time that begins when it is asked. */
static inline bool policy_expires(const struct policy *policy)
{
	return policy->kind->basis == POLICY_BASIS_OTHER && policy->ttl &&
	       policy->ttl != POLICY_TTL_URL;
}

/* The policy as a set of prefixes, or NULL: only the daemon can evaluate it. */
const struct byteset *policy_prefixes(const struct policy *policy);

#endif
