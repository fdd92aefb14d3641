// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Anyone may ask in a loop, so a request must cost the main thread little: replies are cached for a
 * second, and checks, which ask policies and their child processes, are limited in number and rate.
 * Paths, and messages that may quote the configuration, are left out: they are for operators only.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "xdp-icpd/check.h"
#include "xdp-icpd/commands.h"
#include "xdp-icpd/daemon.h"
#include "xdp-icpd/metrics.h"
#include "xdp-icpd/page.h"
#include "xdp-icpd/public.h"

#define SECOND 1000000000ull
#define POLICIES_MAX 1000	/* that are listed */
#define CHECKS_AT_ONCE 4	/* that wait for policies */
#define CHECK_PACE (SECOND / 5) /* nanoseconds a check takes of what is granted */
#define CHECK_BURST 10		/* checks that may come at once */
#define URL_MAX 4096		/* characters */

void public_free(struct public_view *view)
{
	free(view->status.reply);
	free(view->policies.reply);
}

/* --- status and policies */

static void hide(json_t *object, const char *const *names)
{
	for (; *names; names++)
		json_object_del(object, *names);
}

/* What gates observe may be known; other reasons may have paths, or words of helpers and scripts. */
static void hide_reason(json_t *state)
{
	if (!json_object_get(state, "matches"))
		json_object_del(state, "why");
}

static json_t *make_status(struct daemon *daemon)
{
	static const char *const own[] = { "config", "pin_dir", "pid", "listen", "metrics", NULL };
	static const char *const of_etcd[] = { "endpoint", "lease",	  "revision", "error",
					       "bad_key",  "state_error", NULL };
	json_t *status = status_json(daemon), *reload = json_object_get(status, "last_reload");
	json_t *cluster, *state;
	size_t i;

	hide(status, own);
	json_array_foreach (json_object_get(status, "states"), i, state)
		hide_reason(state);
	json_array_foreach (json_object_get(status, "clusters"), i, cluster)
		hide(cluster, of_etcd);
	if (json_is_string(json_object_get(reload, "error")))
		json_object_set_new(reload, "error",
				    json_string("it failed; `icpctl status` says why"));
	add_counters(daemon, status); /* else it has none */
	return status;
}

static json_t *make_policies(struct daemon *daemon)
{
	json_t *policies = policies_json(daemon, POLICIES_MAX), *policy;
	size_t i, count = chain_count(daemon->chain);

	json_array_foreach (json_object_get(policies, "policies"), i, policy) {
		json_object_del(policy, "where");
		hide_reason(json_object_get(policy, "state"));
	}
	json_object_set_new(policies, "count", json_integer((json_int_t)count));
	return policies;
}

static void reply_with(struct daemon *daemon, struct control_request *request, struct kept *kept,
		       json_t *(*make)(struct daemon *daemon))
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	char *copy;

	if (!kept->reply || now - kept->made >= SECOND) {
		json_t *reply = make(daemon);

		free(kept->reply);
		kept->reply = control_dump(reply, &kept->length);
		kept->made = now;
		json_decref(reply);
	}
	copy = kept->reply ? malloc(kept->length) : NULL;
	if (copy)
		memcpy(copy, kept->reply, kept->length);
	control_reply_text(request, CONTROL_JSON, copy, kept->length);
}

static void get_status(void *context, struct control_request *request)
{
	struct daemon *daemon = context;

	reply_with(daemon, request, &daemon->public_view.status, make_status);
}

static void get_policies(void *context, struct control_request *request)
{
	struct daemon *daemon = context;

	reply_with(daemon, request, &daemon->public_view.policies, make_policies);
}

/* --- check */

/*
 * A page of another site can make an operator's browser send requests, though it cannot read the
 * replies.
 */
static bool is_from_elsewhere(const struct control_request *request)
{
	const char *site = control_header(request, "Sec-Fetch-Site");

	return site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
}

/* Take one check from what is granted. False: it is too early. */
static bool take_check(struct public_view *view)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	if (view->granted < now)
		view->granted = now;
	if (view->checks >= CHECKS_AT_ONCE || view->granted - now > (CHECK_BURST - 1) * CHECK_PACE)
		return false;
	view->granted += CHECK_PACE;
	return true;
}

static void get_check(void *context, struct control_request *request)
{
	const char *url = control_argument(request, "url");
	const char *source = control_argument(request, "source");
	struct daemon *daemon = context;
	json_t *body;

	if (!url || strlen(url) > URL_MAX) {
		control_refuse(request, CONTROL_STATUS_BAD_REQUEST,
			       "use /v1/check?url=URL, with a URL of at most %d characters",
			       URL_MAX);
		return;
	}
	if (is_from_elsewhere(request)) {
		control_refuse(request, CONTROL_STATUS_FORBIDDEN,
			       "a page of another site may not ask");
		return;
	}
	if (!take_check(&daemon->public_view)) {
		control_refuse(request, CONTROL_STATUS_OVER_QUOTA,
			       "too many checks; try again in a second");
		return;
	}
	body = json_pack("{s:[s]}", "urls", url);
	if (!body ||
	    (source && *source && json_object_set_new(body, "source", json_string(source))))
		control_refuse(request, CONTROL_STATUS_BAD_REQUEST,
			       "not UTF-8; write other bytes as \\xHH");
	else
		check_begin(daemon, request, body, &daemon->public_view.checks);
	json_decref(body);
}

/* --- the table */

static void get_index(void *context, struct control_request *request)
{
	reply_with_index(request, public_resources);
}

const struct control_resource public_resources[] = {
	{ "GET", "/", get_page, false, "a page that shows the state of the daemon",
	  .arguments = "*" },
	{ "GET", CONTROL_INDEX, get_index, false, "this list" },
	{ "GET", "/metrics", get_metrics, false, "the state of the daemon, for Prometheus",
	  .arguments = "*" },
	{ "GET", "/v1/status", get_status, false, "the state of the daemon and all counters" },
	{ "GET", "/v1/policies", get_policies, false, "the policies in their order" },
	{ "GET", "/v1/check", get_check, false, "what the reply to a query would be",
	  .arguments = "url source" },
	{ NULL },
};
