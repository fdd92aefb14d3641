/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Operators' access to a policy of the kind recent, besides its feeds. For the main thread. */
#ifndef XDP_ICP_POLICY_RECENT_H
#define XDP_ICP_POLICY_RECENT_H

#include "policy/policy.h"
#include "recent/store.h"
#include "url_key.h"

/* Is the policy of this kind? Only then may the functions below be called. */
bool policy_is_recent(const struct policy *policy);

/* Return the form of its keys, their maximum number, and its store, owned by the policy. */
const struct url_key_form *policy_recent_form(const struct policy *policy);
size_t policy_recent_entries_max(const struct policy *policy);
struct recent_store *policy_recent_store(const struct policy *policy);

/* Note a URL of `length` bytes as handled now. Returns -1 with an error that names it. */
int policy_recent_add(const struct policy *policy, const char *url, size_t length,
		      struct error *error);

/* Forget the key of a URL of `length` bytes. Returns whether it was known. */
bool policy_recent_remove(const struct policy *policy, const char *url, size_t length);

/*
 * Forget all keys, and skip what the logs contain so far. To be called while no other thread
 * evaluates the policy. Returns 0, or -1 with an error.
 */
int policy_recent_flush(struct policy *policy, struct error *error);

struct policy_recent_counts {
	uint64_t keys, keys_max; /* may include keys that have just expired */
	uint64_t bytes;		 /* of all keys */
	uint64_t requests;	 /* taken from the feeds since the daemon knows the policy */
	uint64_t skipped;	 /* lines and datagrams that were no requests */
	uint64_t evicted;	 /* keys that made room for others before their time */
};
struct policy_recent_counts policy_recent_counts(const struct policy *policy);

/* List its keys as recent_store_list() does, with the seconds since each was seen. */
typedef bool (*policy_recent_tell)(void *context, const char *key, size_t length, unsigned int age);
void policy_recent_list(const struct policy *policy, policy_recent_tell tell, void *context);

#endif
