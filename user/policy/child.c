// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/escape.h"
#include "lib/plural.h"
#include "policy/child.h"
#include "icp/opcode.h"

#define CHILDREN 2
#define TTL_MAX (24 * 3600u) /* seconds */

struct policy_child *policy_child_create(struct policy *policy, const struct policy_spec *spec,
					 unsigned int timeout, struct error *error)
{
	struct policy_child *child = calloc(1, sizeof(*child));
	long children = CHILDREN;

	policy->state = child;
	if (!child) {
		error_set(error, "out of memory");
		return NULL;
	}
	child->policy = policy;
	child->timeout = timeout;
	if (policy_spec_number(spec, "children", 1, HELPER_CHILDREN_MAX, &children, error) < 0 ||
	    policy_spec_duration(spec, "timeout", 1, HELPER_TIMEOUT_MAX, &child->timeout, error) <
		    0 ||
	    policy_spec_seconds(spec, "ttl", 0, TTL_MAX, &policy->ttl, error) < 0)
		return NULL;
	child->children = children;
	child->stall = HELPER_STALL;
	return child;
}

void policy_child_destroy(struct policy *policy)
{
	struct policy_child *child = policy->state;

	helper_pool_free(child->pool);
	for (size_t i = 0; child->arguments && child->arguments[i]; i++)
		free(child->arguments[i]);
	free(child->arguments);
	free(child->greeting);
	free(child);
}

static struct policy_match parse_reply(struct policy_child *child, const char *line, size_t length)
{
	struct policy_match match = { .verdict = verdict_from_name(line, length) };
	char *shown;

	if (match.verdict != ICP_OP_INVALID || (length == 1 && line[0] == '-'))
		return match;
	match.gave_up = true;
	shown = escape(line, length);
	if (shown && strncmp(shown, "! ", 2) == 0)
		policy_warn(&child->warnings, child->policy, "%.400s", shown + 2);
	else
		policy_warn(&child->warnings, child->policy,
			    "the helper replied '%.200s', which is neither a verdict "
			    "(" VERDICT_NAMES ") nor -",
			    shown ? shown : "");
	free(shown);
	return match;
}

static void child_replied(void *context, void *opaque, const char *line, size_t length)
{
	struct policy_request *request = opaque;
	struct policy_match match = { .verdict = ICP_OP_INVALID, .gave_up = true };

	if (line)
		match = parse_reply(context, line, length);
	request->done(request, match);
}

static const char *running_state(const struct helper_pool_state *pool)
{
	if (!pool->running)
		return "dead";
	return pool->sound < pool->children ? "restarting" : "running";
}

static void pool_changed(void *context)
{
	struct policy_child *child = context;
	const struct helper_pool_state pool = helper_pool_state(child->pool);
	const char *running = running_state(&pool);

	if (strcmp(running, child->running) == 0)
		return;
	child->running = running;
	child->since = time(NULL);
	if (child->changed)
		child->changed(child->context, child->policy);
}

int policy_child_start(struct policy *policy, struct event_base *base, policy_changed changed,
		       void *context, struct error *error)
{
	struct policy_child *child = policy->state;
	const struct helper_settings settings = {
		.name = policy->name,
		.arguments = child->arguments,
		.children = child->children,
		.timeout = child->timeout,
		.stall = child->stall,
		.greeting = child->greeting,
		.greeting_length = child->greeting_length,
		.changed = pool_changed,
	};

	child->changed = changed;
	child->context = context;
	child->running = "running";
	child->since = time(NULL);
	child->pool = helper_pool_new(base, &settings, child_replied, child, error);
	return child->pool ? 0 : error_prefix(error, "policy '%s': ", policy->name);
}

const struct helper_pool *policy_child_pool(const struct policy *policy)
{
	const struct policy_child *child = policy->state;

	return child->pool;
}

void policy_child_tell_state(const struct policy *policy, struct policy_state *state)
{
	const struct policy_child *child = policy->state;
	const struct helper_pool_state pool = helper_pool_state(child->pool);

	*state = (struct policy_state){
		.name = child->running,
		.trouble = strcmp(child->running, "running") != 0,
		.since = child->since,
	};
	snprintf(state->why, sizeof(state->why), "%zu of %zu %s%s%s%s", pool.running, pool.children,
		 plural(pool.children, "child runs", "children run"),
		 pool.sound < pool.running ? ", not all have replied since" : "",
		 *pool.ended ? "; " : "", pool.ended);
	policy_warnings_tell(&child->warnings, state);
}

bool policy_child_ask(const struct policy *policy, const struct query *query,
		      struct policy_request *request)
{
	struct policy_child *child = policy->state;
	char source[INET6_ADDRSTRLEN], line[ICP_MESSAGE_MAX + INET6_ADDRSTRLEN + 2];
	size_t length = query->length;

	if (!child->pool)
		return false;
	query_source_text(query, source);
	memcpy(line, query->url, length);
	line[length++] = ' ';
	/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): a line, not a string */
	memcpy(line + length, source, strlen(source));
	length += strlen(source);
	line[length++] = '\n';
	return helper_pool_ask(child->pool, line, length, request);
}

/* Used where ask() cannot reach a child. */
struct policy_match policy_child_match(const struct policy *policy, const struct query *query)
{
	return (struct policy_match){ .verdict = ICP_OP_INVALID, .gave_up = true };
}
