/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A policy, and the interface of the kinds of policies. A new kind is one file in kinds/, a line in
 * kinds.h and one in kinds.c.
 */
#ifndef XDP_ICP_POLICY_H
#define XDP_ICP_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "lib/error.h"
#include "lib/log.h"
#include "icp.h"
#include "policy/spec.h"
#include "policy/tally.h"
#include "icp/query.h"
#include "partition.h"

struct automaton;
struct helper_pool;
struct netset;
struct patterns;
struct event_base;
struct policy;
struct byteset;

/* A setting that a kind takes, in addition to the common ones. */
struct policy_setting {
	const char *name;
	const char *help;
	bool list; /* takes more than one value */
	bool required;
	const char *replaced_by; /* not NULL: removed; names the setting to use instead */
};

#define POLICY_TTL_URL ((unsigned int)-1)

/* The result of matching a query against a policy. */
struct policy_match {
	enum icp_opcode verdict; /* ICP_OP_INVALID: the policy does not match */
	bool gave_up;		 /* stopped at a limit; counts as no match */
	bool has_cost;		 /* `cost` counts, else that of the policy */
	uint16_t cost;
};

/*
 * What a policy's result depends on. It decides where the policy can be evaluated, and for how long
 * its result can be remembered.
 */
enum policy_basis {
	POLICY_BASIS_URL,    /* the URL alone; valid for the life of the chain */
	POLICY_BASIS_SOURCE, /* the querier's address alone */
	POLICY_BASIS_HOST,   /* the host's state alone: a gate, open or shut for every query */
	POLICY_BASIS_RECENT, /* the URL, and the keys that were seen lately */
	POLICY_BASIS_OTHER,  /* anything, the URL and the querier's address included */
};

/* A query to a policy that has to wait before it can return a match. Embed it in the caller's state. */
struct policy_request {
	/*
	 * Called once, from the event loop, never from within ask(). It may free the policy.
	 */
	void (*done)(struct policy_request *request, struct policy_match match);
};

/* The state of what a policy observes or runs, for operators. */
struct policy_state {
	const char *name; /* such as "down"; a literal */
	bool trouble;	  /* something does not work */
	time_t since;	  /* seconds since 1970 */
	char why[256];	  /* the reason; "": none */
};

/*
 * Called when the name of a policy's state has changed, in particular when a policy on the host's
 * state begins or ceases to match.
 */
typedef void (*policy_changed)(void *context, struct policy *policy);

/* The verdicts by this host's place among the owners of a URL. */
struct policy_partition {
	struct partition hashed;
	const struct partition_line *lines; /* PARTITION_LINES */
	bool leased;	    /* valid only while the daemon lives, like what it watches */
	unsigned int depth; /* the last place that the table has */
	struct icp_verdict verdicts[PARTITION_DEPTH_MAX + 1]; /* of places 0 to `depth` */
};

struct policy_kind {
	const char *name;
	const char *help;
	enum policy_basis basis;
	const struct policy_setting *settings; /* ends with a name of NULL */
	bool main_thread; /* match() and ask() are for the main thread; else thread-safe */

	/*
	 * Allocate policy->state. The common members of `policy` are set; `verdict` is
	 * ICP_OP_INVALID if the spec has none, and each entry then needs a verdict of its own.
	 * Returns -1 with an error; if policy->state is set then, destroy() is called.
	 */
	int (*create)(struct policy *policy, const struct policy_spec *spec, struct error *error);
	void (*destroy)(struct policy *policy);

	/* Match a query, disregarding `not`. */
	struct policy_match (*match)(const struct policy *policy, const struct query *query);

	/*
	 * Start the events or child processes of the policy on the event loop; NULL if the kind has
	 * none. Called once, before any query; destroy() stops them. Returns 0, or -1 with an error.
	 */
	int (*start)(struct policy *policy, struct event_base *base, policy_changed changed,
		     void *context, struct error *error);

	/*
	 * Take over the observations of `old`, a policy of the same name and kind, if it observes
	 * the same thing; NULL if the kind keeps none. Called at most once, before start().
	 */
	void (*inherit)(struct policy *policy, const struct policy *old);

	/*
	 * Fill in the state of a policy that has been started, in the main thread; NULL: the kind
	 * observes and runs nothing.
	 */
	void (*tell_state)(const struct policy *policy, struct policy_state *state);

	/* The child processes of a policy that has been started; NULL: the kind has none. */
	const struct helper_pool *(*children)(const struct policy *policy);

	/*
	 * Start a request, to be completed by request->done(); NULL if the kind never waits. The
	 * query is copied as far as needed. If the policy is destroyed first, the request completes
	 * without a match. Returns false if no wait is needed: call match() instead.
	 */
	bool (*ask)(const struct policy *policy, const struct query *query,
		    struct policy_request *request);

	/* The addresses that a POLICY_BASIS_SOURCE matches, owned by the policy. */
	const struct netset *(*sources)(const struct policy *policy);

	/*
	 * The whole policy, disregarding `not`, as a set of texts that the reading of the URL begins
	 * with, owned by the policy; the longest match decides. NULL: the kind has no such form.
	 */
	enum url_reading reading;
	const struct byteset *(*texts)(const struct policy *policy);

	/*
	 * The policy, disregarding `not`, as texts that the URL contains, each of GRAM_MIN bytes or
	 * more, owned by the policy; the first in the list decides. If it has an automaton as well,
	 * that has its other texts, and the same verdict. Returns NULL if this policy has no such
	 * form; a NULL pointer if the kind has none.
	 */
	const struct patterns *(*inside)(const struct policy *policy);

	/*
	 * The policy's table of owners, owned by the policy, which gives a verdict to every URL that
	 * begins with none of its texts(). NULL: the kind has none.
	 */
	const struct policy_partition *(*partition)(const struct policy *policy);

	/*
	 * Explain to operators why the policy gives its verdict to this URL, such as by its owner,
	 * as text of at most `size` bytes with its NUL; bytes of the URL are not escaped. NULL: the
	 * kind has nothing to explain.
	 */
	void (*explain)(const struct policy *policy, const struct query *query, char *text,
			size_t size);

	/*
	 * The whole policy, `not` included, or the part that inside() does not have, as an
	 * automaton whose answers are verdicts, owned by the policy; else NULL and the reason.
	 * NULL: the kind has no such form.
	 */
	const struct automaton *(*automaton)(const struct policy *policy, const char **reason);
};

struct policy {
	char *name;
	const struct policy_kind *kind;
	enum icp_opcode verdict; /* ICP_OP_INVALID: each entry has its own */
	int cost;		 /* 0 to 65535, or ICP_NO_COST */
	bool negate;		 /* `not`: gives its verdict where the kind does not match */
	/*
	 * Seconds for which the result of a POLICY_BASIS_OTHER may be remembered; 0: not at all;
	 * POLICY_TTL_URL: for the life of the chain, as only the URL decides.
	 */
	unsigned int ttl;
	void *state; /* private to the kind */

	/* The file of its list; path NULL: none. Times in seconds since 1970. */
	struct {
		char *path;
		unsigned int lines;
		time_t read, modified;
	} file;

	struct decider_tally *tally; /* of the queries that it has decided */

	const char *logged; /* name of the state that was last logged; NULL: none */
	struct log_limit log_limit;
};

/* All kinds, in the order in which they are listed; ends with NULL. */
extern const struct policy_kind *const policy_kinds[];

/* The settings that every kind takes; ends with a name of NULL. */
extern const struct policy_setting policy_common_settings[];

/* Create a policy from its spec. Returns -1 with an error that names the place. */
int policy_create(const struct policy_spec *spec, struct policy **policy, struct error *error);

/* For create(): return -1 with an error if the policy has no verdict, else 0. */
int policy_need_verdict(const struct policy *policy, const struct policy_spec *spec,
			struct error *error);

/* `policy` may be NULL. */
void policy_free(struct policy *policy);

/* Match a query against the policy, `not` included. */
struct policy_match policy_match(const struct policy *policy, const struct query *query);

/* Fill in the state of a started policy, or when its file was read. False: it has neither. */
bool policy_tell_state(const struct policy *policy, struct policy_state *state);

/* Apply `not` to a result of the kind, from match() or done(). */
struct policy_match policy_apply_not(const struct policy *policy, struct policy_match match);

/* Does the policy's result expire some time after the policy was asked? */
static inline bool policy_expires(const struct policy *policy)
{
	return policy->kind->basis == POLICY_BASIS_OTHER && policy->ttl &&
	       policy->ttl != POLICY_TTL_URL;
}

/* What the kind's inside() returns; NULL: the kind has none. */
static inline const struct patterns *policy_inside(const struct policy *policy)
{
	return policy->kind->inside ? policy->kind->inside(policy) : NULL;
}

/* What the kind's texts() returns; NULL: the kind has none. */
static inline const struct byteset *policy_texts(const struct policy *policy)
{
	return policy->kind->texts ? policy->kind->texts(policy) : NULL;
}

/* What the kind's partition() returns; NULL: the kind has none. */
static inline const struct policy_partition *policy_partition(const struct policy *policy)
{
	return policy->kind->partition ? policy->kind->partition(policy) : NULL;
}

/* Does its verdict count only while the main thread, which watches what it depends on, is alive? */
static inline bool policy_is_watched(const struct policy *policy)
{
	const struct policy_partition *partition = policy_partition(policy);

	return policy->kind->basis == POLICY_BASIS_HOST || (partition && partition->leased);
}

#endif
