// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * `function check(url, source)` in `file` returns a verdict's name, or nil for nothing. What goes
 * wrong in it counts as nothing. The script is bounded by lua_sandbox.h, for queries wait while it
 * runs.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "lua_sandbox.h"
#include "policy_kinds.h"
#include "policy_warning.h"
#include "regular_file.h"
#include "verdict.h"

#define INSTRUCTIONS 100000 /* about a millisecond */
#define INSTRUCTIONS_LEAST 1000
#define INSTRUCTIONS_MOST 10000000
#define FILE_MOST (4u << 20) /* bytes */
#define TTL_MAX (24 * 3600 * 1000u)

struct lua {
	const struct policy *policy;
	char *path;
	char *text; /* of the file as it was read */
	size_t length;
	struct lua_sandbox *sandbox; /* NULL: there was no memory for a new one */
	long instructions;
	bool worked; /* check() has come to an end since the script was run */
	struct policy_warning warning;
};

static void release(struct lua *lua)
{
	lua_sandbox_close(lua->sandbox);
	free(lua->text);
	free(lua->path);
	free(lua);
}

static int read_file(struct lua *lua, const struct policy_spec *spec, struct error *error)
{
	const struct spec_value *file;
	struct error reason;

	if (policy_spec_text(spec, "file", &file, error) < 0)
		return -1;
	lua->path = strdup(file->text);
	if (!lua->path)
		return error_set(error, "out of memory");
	if (regular_file_read(file->text, FILE_MOST, &lua->text, &lua->length, &reason))
		return error_set(error,
				 "%s: policy '%s': cannot read the script '%s': %s; name a file "
				 "of at most 4 MiB that the daemon may read",
				 file->where, spec->name, file->text, reason.text);
	return 0;
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct lua *lua = calloc(1, sizeof(*lua));
	unsigned int ttl = 0;

	if (!lua)
		return error_set(error, "out of memory");
	lua->policy = policy;
	lua->instructions = INSTRUCTIONS;
	if (policy_spec_number(spec, "instructions", INSTRUCTIONS_LEAST, INSTRUCTIONS_MOST,
			       &lua->instructions, error) >= 0 &&
	    policy_spec_duration(spec, "ttl", 0, TTL_MAX, &ttl, error) >= 0 &&
	    read_file(lua, spec, error) == 0)
		lua->sandbox = lua_sandbox_open(lua->path, lua->text, lua->length, error);
	if (!lua->sandbox) {
		release(lua);
		return -1;
	}
	policy->ttl = ttl / 1000; /* less than a second is not worth remembering */
	policy->state = lua;
	return 0;
}

static void destroy(struct policy *policy)
{
	release(policy->state);
}

/*
 * Begins anew with a script that has kept so much that it cannot work any more: each further query
 * would fail, after a search through all of it for memory to be had. One that fails at once is
 * left as it is.
 */
static void begin_anew(struct lua *lua)
{
	struct error error;

	if (!lua->worked)
		return;
	lua->worked = false;
	lua_sandbox_close(lua->sandbox);
	lua->sandbox = lua_sandbox_open(lua->path, lua->text, lua->length, &error);
	if (!lua->sandbox)
		policy_warn(&lua->warning, lua->policy, "%s", error.text);
}

static struct policy_match understand(struct lua *lua, const char *answer, size_t length)
{
	struct policy_match match = { .verdict = verdict_from_name(answer, length) };
	char *shown;

	if (match.verdict != ICP_OP_INVALID)
		return match;
	match.gave_up = true;
	shown = escape(answer, length);
	policy_warn(&lua->warning, lua->policy,
		    "%s: check() returned '%.200s', which is no verdict; it can be " VERDICT_NAMES
		    ", or nil",
		    lua->path, shown ? shown : "");
	free(shown);
	return match;
}

static struct policy_match match(const struct policy *policy, const struct query *query)
{
	struct policy_match nothing = { .verdict = ICP_OP_INVALID };
	struct lua *lua = policy->state;
	enum lua_sandbox_result result;
	char source[INET6_ADDRSTRLEN];
	const char *answer;
	struct error error;
	size_t length;

	nothing.gave_up = !lua->sandbox;
	if (!lua->sandbox)
		return nothing;
	query_source_text(query, source);
	result = lua_sandbox_check(lua->sandbox, query->url, query->length, source,
				   lua->instructions, &answer, &length, &error);
	if (result == LUA_SANDBOX_FAILED || result == LUA_SANDBOX_FULL) {
		nothing.gave_up = true;
		policy_warn(&lua->warning, policy, "%s", error.text);
		if (result == LUA_SANDBOX_FULL)
			begin_anew(lua);
		return nothing;
	}
	lua->worked = true;
	return result == LUA_SANDBOX_ANSWER ? understand(lua, answer, length) : nothing;
}

static const struct policy_setting settings[] = {
	{ "file", "the script, which has a 'function check(url, source)'", .required = true },
	{ "instructions",
	  "how many it may take for a query, 1000 to 10000000; 100000 if not given" },
	{ "ttl", "how long an answer may be remembered, in whole seconds; not if not given" },
	{ NULL },
};

const struct policy_kind policy_lua = {
	.name = "lua",
	.help = "check(url, source) in a Lua script returns a verdict",
	.basis = POLICY_BASIS_OTHER,
	.main_thread = true,
	.settings = settings,
	.create = create,
	.destroy = destroy,
	.match = match,
};
