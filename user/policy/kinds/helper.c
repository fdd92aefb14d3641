// SPDX-License-Identifier: GPL-2.0-or-later
/* Runs a program of the operator in child processes, see policy/child.h. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/child.h"
#include "policy/kinds.h"

#define TIMEOUT 2000 /* milliseconds: Squid's maximum_icp_query_timeout */

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct policy_child *child = policy_child_create(policy, spec, TIMEOUT, error);
	const struct spec_setting *setting = policy_spec_find(spec, "program");
	const struct spec_value *path = &setting->values[0];

	if (!child)
		return -1;
	if (path->text[0] != '/' || access(path->text, X_OK))
		return error_set(error,
				 "%s: policy '%s': program: '%s' is not a program; name one by its "
				 "absolute path, its arguments behind it: program = { \"/path\", "
				 "\"argument\" }",
				 path->where, spec->name, path->text);
	child->arguments = calloc(setting->count + 1, sizeof(child->arguments[0]));
	if (!child->arguments)
		return error_set(error, "out of memory");
	for (size_t i = 0; i < setting->count; i++) {
		child->arguments[i] = strdup(setting->values[i].text);
		if (!child->arguments[i])
			return error_set(error, "out of memory");
	}
	return 0;
}

static const struct policy_setting settings[] = {
	{ "program", "the absolute path of the program, then its arguments", .list = true,
	  .required = true },
	{ "children", "number of processes, 1 to 64; default 2" },
	{ "timeout",
	  "limit for a reply, the wait for a free process included, 1ms to 10s; default 2s" },
	{ "ttl", "how long a reply may be remembered, from the question on, in whole seconds up to "
		 "24h; default: not at all" },
	{ NULL },
};

const struct policy_kind policy_helper = {
	.name = "helper",
	.help = "a program that reads 'URL SOURCE' a line replies with a verdict or -",
	.settings = settings,
	.create = create,
	POLICY_CHILD_KIND,
};
