// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/escape.h"
#include "policy/kinds/recent.h"
#include "policy/spec.h"
#include "xdp-icpd/daemon.h"
#include "xdp-icpd/recent.h"

#define URLS_MAX 1000	   /* of a request */
#define KEYS_DEFAULT 100   /* of a response */
#define KEYS_MAX 10000	   /* likewise */
#define BYTES_MAX 1000000  /* of the keys of a response */
#define COPIED_AT_ONCE 500 /* keys, to the kernel */
#define COPY_INTERVAL 10   /* ms */
#define LOOK_INTERVAL 1000 /* ms, if everything has been copied */

/* Return the policy of a request, or NULL after refusing the request. */
static struct policy *find_policy(const struct daemon *daemon, struct control_request *request)
{
	const char *escaped = control_name(request);
	struct policy *found = NULL;
	size_t length = 0;
	char *name = unescape(escaped, strlen(escaped), &length);

	for (size_t rank = 0; name && rank < chain_count(daemon->chain) && !found; rank++) {
		struct policy *policy = chain_policy(daemon->chain, rank);

		if (strlen(policy->name) == length && memcmp(policy->name, name, length) == 0)
			found = policy;
	}
	free(name);
	if (!found)
		control_refuse(request, CONTROL_STATUS_NOT_FOUND,
			       "there is no policy '%s'; `icpctl policy list` lists them", escaped);
	else if (!policy_is_recent(found))
		control_refuse(request, CONTROL_STATUS_REFUSED,
			       "policy '%s' is of the kind %s, not recent", escaped,
			       found->kind->name);
	return found && policy_is_recent(found) ? found : NULL;
}

/* --- reading */

struct listing {
	json_t *keys;
	long left;
	size_t bytes;
};

static bool add_key(void *context, const char *key, size_t length, unsigned int age)
{
	struct listing *listing = context;

	listing->bytes += length;
	if (listing->left-- == 0 || listing->bytes > BYTES_MAX)
		return false;
	json_array_append_new(
		listing->keys,
		json_pack("{s:o, s:I}", "key", control_bytes(key, length), "age", (json_int_t)age));
	return true;
}

void get_recent(void *context, struct control_request *request)
{
	const struct policy *policy = find_policy(context, request);
	const char *limit = control_argument(request, "limit");
	struct listing listing = { .left = KEYS_DEFAULT };
	struct policy_recent_counts counts;
	struct error error;

	if (!policy)
		return;
	if (limit && parse_number(limit, 0, KEYS_MAX, &listing.left, &error)) {
		control_refuse(request, CONTROL_STATUS_BAD_REQUEST, "limit: %s", error.text);
		return;
	}
	listing.keys = json_array();
	policy_recent_list(policy, add_key, &listing);
	counts = policy_recent_counts(policy);
	control_reply(request,
		      json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "keys", listing.keys,
				"entries", (json_int_t)counts.keys, "entries_max",
				(json_int_t)counts.keys_max, "bytes", (json_int_t)counts.bytes,
				"evicted", (json_int_t)counts.evicted, "requests",
				(json_int_t)counts.requests, "skipped",
				(json_int_t)counts.skipped));
}

/* --- changes */

/* Unescape a URL of a request. NULL and an error: it is no text. */
static char *read_url(const json_t *url, size_t *length, struct error *error)
{
	const char *escaped = json_string_value(url);
	char *text = escaped ? unescape(escaped, strlen(escaped), length) : NULL;

	if (!escaped)
		error_write(error, "each URL must be a string");
	else if (!text)
		error_write(error, "out of memory");
	return text;
}

/* Add or remove the URLs of a list. Return 0 and the number of those that made a difference, or -1. */
static int change(const struct policy *policy, const json_t *urls, bool adds, json_int_t *changed,
		  struct error *error)
{
	const json_t *url;
	size_t i, length;
	int result = 0;

	json_array_foreach (urls, i, url) {
		char *text = read_url(url, &length, error);

		if (!text)
			result = -1;
		else if (adds)
			result = policy_recent_add(policy, text, length, error);
		else
			*changed += policy_recent_remove(policy, text, length);
		free(text);
		if (result)
			return -1;
		*changed += adds;
	}
	return 0;
}

void post_recent(void *context, struct control_request *request)
{
	const struct policy *policy = find_policy(context, request);
	const json_t *add = json_object_get(control_body(request), "add");
	const json_t *remove = json_object_get(control_body(request), "remove");
	json_int_t added = 0, removed = 0;
	struct error error;

	if (!policy)
		return;
	if (json_array_size(add) + json_array_size(remove) == 0 ||
	    json_array_size(add) + json_array_size(remove) > URLS_MAX) {
		control_refuse(request, CONTROL_STATUS_BAD_REQUEST,
			       "\"add\" or \"remove\" must be a list of 1 to %d URLs", URLS_MAX);
		return;
	}
	if (change(policy, remove, false, &removed, &error) ||
	    change(policy, add, true, &added, &error))
		control_refuse(request, CONTROL_STATUS_BAD_REQUEST, "%s", error.text);
	else
		control_reply(request, json_pack("{s:I, s:I}", "added", added, "removed", removed));
}

void delete_recent(void *context, struct control_request *request)
{
	struct daemon *daemon = context;
	struct policy *policy = find_policy(daemon, request);
	struct error error;
	uint64_t entries;
	int result;

	if (!policy)
		return;
	entries = policy_recent_counts(policy).keys;
	server_pause(&daemon->server);
	result = policy_recent_flush(policy, &error);
	server_resume(&daemon->server);
	if (result == 0 && daemon->xdp.kernel)
		kernel_refresh_recents(daemon->xdp.kernel, daemon->chain);
	if (result)
		control_refuse(request, CONTROL_STATUS_FAILED, "%s", error.text);
	else
		control_reply(request, json_pack("{s:I}", "removed", (json_int_t)entries));
}

/* --- the kernel's copy */

static void on_recents(evutil_socket_t fd, short what, void *context)
{
	struct daemon *daemon = context;
	bool done = kernel_step_recents(daemon->xdp.kernel, COPIED_AT_ONCE);
	const struct timeval wait = clock_timeval(done ? LOOK_INTERVAL : COPY_INTERVAL);

	event_add(daemon->recents, &wait);
}

void daemon_copy_recents(struct daemon *daemon)
{
	if (daemon->recents)
		event_active(daemon->recents, EV_TIMEOUT, 0);
}

int daemon_start_recents(struct daemon *daemon, struct error *error)
{
	daemon->recents = evtimer_new(daemon->base, on_recents, daemon);
	if (!daemon->recents)
		return error_set(error, "out of memory");
	daemon_copy_recents(daemon);
	return 0;
}
