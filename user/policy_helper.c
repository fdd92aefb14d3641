// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Child processes that read `URL SOURCE` a line and answer with a verdict or `-`, in order. What
 * is not answered in time, or not understood, counts as nothing.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "escape.h"
#include "helper_pool.h"
#include "policy_kinds.h"
#include "policy_warning.h"
#include "verdict.h"

#define CHILDREN 2
#define TIMEOUT 2000 /* milliseconds: Squid's maximum_icp_query_timeout */
#define TTL_MAX (24 * 3600 * 1000u)

struct helper {
	const struct policy *policy;
	char **program; /* ends with NULL */
	unsigned int children;
	unsigned int timeout; /* milliseconds */
	struct helper_pool *pool;
	struct policy_warning warning;
};

static void release(struct helper *helper)
{
	for (size_t i = 0; helper->program && helper->program[i]; i++)
		free(helper->program[i]);
	free(helper->program);
	free(helper);
}

static int read_program(struct helper *helper, const struct policy_spec *spec, struct error *error)
{
	const struct spec_setting *setting = policy_spec_find(spec, "program");
	const struct spec_value *path = &setting->values[0];

	if (path->text[0] != '/' || access(path->text, X_OK))
		return error_set(error,
				 "%s: policy '%s': program: '%s' is no program; name one by its "
				 "absolute path, its arguments behind it: program = { \"/path\", "
				 "\"argument\" }",
				 path->where, spec->name, path->text);
	helper->program = calloc(setting->count + 1, sizeof(helper->program[0]));
	if (!helper->program)
		return error_set(error, "out of memory");
	for (size_t i = 0; i < setting->count; i++) {
		helper->program[i] = strdup(setting->values[i].text);
		if (!helper->program[i])
			return error_set(error, "out of memory");
	}
	return 0;
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct helper *helper = calloc(1, sizeof(*helper));
	unsigned int ttl = 0;
	long children = CHILDREN;

	if (!helper)
		return error_set(error, "out of memory");
	helper->policy = policy;
	helper->timeout = TIMEOUT;
	if (read_program(helper, spec, error) ||
	    policy_spec_number(spec, "children", 1, HELPER_CHILDREN_MAX, &children, error) < 0 ||
	    policy_spec_duration(spec, "timeout", 1, HELPER_TIMEOUT_MAX, &helper->timeout, error) <
		    0 ||
	    policy_spec_duration(spec, "ttl", 0, TTL_MAX, &ttl, error) < 0) {
		release(helper);
		return -1;
	}
	helper->children = children;
	policy->ttl = ttl / 1000; /* less than a second is not worth remembering */
	policy->state = helper;
	return 0;
}

static void destroy(struct policy *policy)
{
	struct helper *helper = policy->state;

	helper_pool_free(helper->pool);
	release(helper);
}

/* A line that is no answer is like none. */
static struct policy_match understand(struct helper *helper, const char *line, size_t length)
{
	struct policy_match match = { .verdict = verdict_from_name(line, length) };
	char *shown;

	if (match.verdict != ICP_OP_INVALID || (length == 1 && line[0] == '-'))
		return match;
	match.gave_up = true;
	shown = escape(line, length);
	policy_warn(&helper->warning, helper->policy,
		    "the helper answered '%.200s', which is neither a verdict (" VERDICT_NAMES
		    ") nor -",
		    shown ? shown : "");
	free(shown);
	return match;
}

static void answered(void *context, void *asked, const char *line, size_t length)
{
	struct policy_question *question = asked;
	struct policy_match match = { .verdict = ICP_OP_INVALID, .gave_up = true };

	if (line)
		match = understand(context, line, length);
	question->answered(question, match);
}

static int start(struct policy *policy, struct event_base *base, policy_changed changed,
		 void *context, struct error *error)
{
	struct helper *helper = policy->state;
	const struct helper_settings settings = {
		.name = policy->name,
		.arguments = helper->program,
		.children = helper->children,
		.timeout = helper->timeout,
	};

	(void)changed;
	(void)context;
	helper->pool = helper_pool_new(base, &settings, answered, helper, error);
	return helper->pool ? 0 : error_prefix(error, "policy '%s': ", policy->name);
}

static bool ask(const struct policy *policy, const struct query *query,
		struct policy_question *question)
{
	struct helper *helper = policy->state;
	char source[INET6_ADDRSTRLEN], line[ICP_MESSAGE_MAX + INET6_ADDRSTRLEN + 2];
	size_t length = query->length;

	if (!helper->pool)
		return false;
	query_source_text(query, source);
	memcpy(line, query->url, length);
	line[length++] = ' ';
	/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): a line, no string */
	memcpy(line + length, source, strlen(source));
	length += strlen(source);
	line[length++] = '\n';
	return helper_pool_ask(helper->pool, line, length, question);
}

/* Where nobody can be asked. */
static struct policy_match match(const struct policy *policy, const struct query *query)
{
	(void)policy;
	(void)query;
	return (struct policy_match){ .verdict = ICP_OP_INVALID, .gave_up = true };
}

static const struct policy_setting settings[] = {
	{ "program", "the absolute path of the program, then its arguments", .list = true,
	  .required = true },
	{ "children", "how many processes of it there are, 1 to 64; 2 if not given" },
	{ "timeout", "how long an answer is waited for, 1ms to 10s; 2s if not given" },
	{ "ttl", "how long an answer may be remembered, in whole seconds; not if not given" },
	{ NULL },
};

const struct policy_kind policy_helper = {
	.name = "helper",
	.help = "a program that reads 'URL SOURCE' a line answers with a verdict or -",
	.basis = POLICY_BASIS_OTHER,
	.main_thread = true,
	.settings = settings,
	.create = create,
	.destroy = destroy,
	.match = match,
	.start = start,
	.ask = ask,
};
