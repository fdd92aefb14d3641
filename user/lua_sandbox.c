// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "lua_sandbox.h"
#include "lua_strings.h"

#define SCRIPT "script"	   /* what Lua calls the file in its messages; the name is put there */
#define HOOK_STEPS 100	   /* from one look at what is left to the next */
#define BYTES_OF_A_STEP 64 /* allocated */

struct lua_sandbox {
	lua_State *state;
	char *name;
	size_t used; /* bytes */
	long steps;  /* left */
	long most;   /* of them, for the message */
	bool loaded;
	int check; /* reference to the function */
};

static struct lua_sandbox *sandbox_of(lua_State *state)
{
	void *context;

	lua_getallocf(state, &context);
	return context;
}

/* --- limits */

static void *allocate(void *context, void *block, size_t old, size_t new)
{
	struct lua_sandbox *sandbox = context;
	void *made;

	if (!block)
		old = 0; /* it says what the block is for */
	if (new == 0) {
		sandbox->used -= old;
		free(block);
		return NULL;
	}
	if (new > old &&new - old > LUA_SANDBOX_MEMORY - sandbox->used)
		return NULL;
	made = realloc(block, new);
	if (!made)
		return NULL;
	sandbox->used += new - old;
	if (new > old)
		sandbox->steps -= (long)((new - old) / BYTES_OF_A_STEP);
	return made;
}

static void on_count(lua_State *state, lua_Debug *at);

/* `level`: of the function in the stack whose line is told. */
static int exhausted(lua_State *state, int level)
{
	/* A pcall() in the script catches the error; the next instruction raises it again. */
	lua_sethook(state, on_count, LUA_MASKCOUNT, 1);
	luaL_where(state, level);
	lua_pushfstring(state, "it did not end within %I instructions",
			(lua_Integer)sandbox_of(state)->most);
	lua_concat(state, 2);
	return lua_error(state);
}

int lua_sandbox_exhausted(lua_State *state)
{
	return exhausted(state, 1);
}

long *lua_sandbox_steps(lua_State *state)
{
	return &sandbox_of(state)->steps;
}

static void on_count(lua_State *state, lua_Debug *at)
{
	struct lua_sandbox *sandbox = sandbox_of(state);

	(void)at;
	sandbox->steps -= HOOK_STEPS;
	if (sandbox->steps < 0)
		exhausted(state, 0);
}

static void allow(struct lua_sandbox *sandbox, long steps)
{
	sandbox->steps = sandbox->most = steps;
	lua_sethook(sandbox->state, on_count, LUA_MASKCOUNT, HOOK_STEPS);
}

/* --- what there is to be called */

static const char *const base_names[] = {
	"_VERSION", "assert", "error",	  "ipairs",   "next", "pairs",
	"pcall",    "select", "tonumber", "tostring", "type", NULL,
};
static const char *const string_names[] = {
	"byte", "char", "format", "len", "lower", "reverse", "sub", "upper", NULL,
};
static const char *const table_names[] = {
	"concat", "insert", "pack", "remove", "sort", "unpack", NULL,
};

/* Opens a library and leaves a table on the stack with what is named of it; NULL: with all. */
static void open_library(lua_State *state, lua_CFunction open, const char *name,
			 const char *const *names)
{
	luaL_requiref(state, name, open, 0);
	if (!names)
		return;
	lua_newtable(state);
	for (; *names; names++) {
		lua_getfield(state, -2, *names);
		lua_setfield(state, -2, *names);
	}
	lua_remove(state, -2);
}

/* An assignment to a global; the globals themselves are the upvalue. */
static int assign(lua_State *state)
{
	if (sandbox_of(state)->loaded)
		return luaL_error(state,
				  "'%s' is assigned to: declare it 'local', outside of the "
				  "function if it is to be kept for the next query",
				  luaL_tolstring(state, 2, NULL));
	lua_rawset(state, lua_upvalueindex(1));
	return 0;
}

/* Leaves the globals on the stack, and the empty table in front of them that the script gets. */
static void make_globals(lua_State *state)
{
	open_library(state, luaopen_base, LUA_GNAME, base_names);
	open_library(state, luaopen_math, LUA_MATHLIBNAME, NULL);
	lua_setfield(state, -2, LUA_MATHLIBNAME);
	open_library(state, luaopen_utf8, LUA_UTF8LIBNAME, NULL);
	lua_setfield(state, -2, LUA_UTF8LIBNAME);
	open_library(state, luaopen_table, LUA_TABLIBNAME, table_names);
	lua_setfield(state, -2, LUA_TABLIBNAME);
	open_library(state, luaopen_string, LUA_STRLIBNAME, string_names);
	luaL_setfuncs(state, lua_strings, 0);
	/* Methods of strings are looked up there, too. */
	lua_pushliteral(state, "");
	lua_getmetatable(state, -1);
	lua_pushvalue(state, -3);
	lua_setfield(state, -2, "__index");
	lua_pop(state, 2);
	lua_setfield(state, -2, LUA_STRLIBNAME);

	lua_newtable(state);
	lua_newtable(state);
	lua_pushvalue(state, -3);
	lua_setfield(state, -2, "__index");
	lua_pushvalue(state, -3);
	lua_pushcclosure(state, assign, 1);
	lua_setfield(state, -2, "__newindex");
	lua_setmetatable(state, -2);
}

/* --- scripts */

struct script {
	const char *text;
	size_t length;
};

static int run_script(lua_State *state)
{
	const struct script *script = lua_touserdata(state, 1);
	struct lua_sandbox *sandbox = sandbox_of(state);

	make_globals(state);
	if (luaL_loadbufferx(state, script->text, script->length, "=" SCRIPT, "t"))
		return lua_error(state);
	lua_insert(state, -2);
	lua_setupvalue(state, -2, 1); /* its globals */
	lua_call(state, 0, 0);
	if (lua_getfield(state, -1, "check") != LUA_TFUNCTION) {
		lua_pushliteral(state, SCRIPT ":1: it has no 'function check(url, source)'");
		return lua_error(state);
	}
	sandbox->check = luaL_ref(state, LUA_REGISTRYINDEX);
	sandbox->loaded = true;
	return 0;
}

/* The error on the stack, with the file's name in place of ours. */
static void describe(const struct lua_sandbox *sandbox, int status, struct error *error)
{
	const char *text;

	if (status == LUA_ERRMEM) {
		error_write(error, "%s: it needs more than %u MiB of memory", sandbox->name,
			    LUA_SANDBOX_MEMORY >> 20);
	} else if (lua_type(sandbox->state, -1) != LUA_TSTRING) {
		error_write(error, "%s: an error that is a %s, not a text", sandbox->name,
			    luaL_typename(sandbox->state, -1));
	} else {
		text = lua_tostring(sandbox->state, -1);
		if (strncmp(text, SCRIPT ":", strlen(SCRIPT ":")) == 0)
			error_write(error, "%s%s", sandbox->name, text + strlen(SCRIPT));
		else
			error_write(error, "%s: %s", sandbox->name, text);
	}
}

struct lua_sandbox *lua_sandbox_open(const char *name, const char *text, size_t length,
				     struct error *error)
{
	struct lua_sandbox *sandbox = calloc(1, sizeof(*sandbox));
	struct script script = { text, length };
	int status;

	if (sandbox) {
		sandbox->name = strdup(name);
		sandbox->state = lua_newstate(allocate, sandbox);
	}
	if (!sandbox || !sandbox->name || !sandbox->state) {
		error_write(error, "out of memory");
		lua_sandbox_close(sandbox);
		return NULL;
	}
	allow(sandbox, LUA_SANDBOX_LOAD_STEPS);
	lua_pushcfunction(sandbox->state, run_script);
	lua_pushlightuserdata(sandbox->state, &script);
	status = lua_pcall(sandbox->state, 1, 0, 0);
	if (status) {
		describe(sandbox, status, error);
		lua_sandbox_close(sandbox);
		return NULL;
	}
	return sandbox;
}

void lua_sandbox_close(struct lua_sandbox *sandbox)
{
	if (!sandbox)
		return;
	if (sandbox->state)
		lua_close(sandbox->state);
	free(sandbox->name);
	free(sandbox);
}

struct call {
	const char *url, *source;
	size_t length;
};

static int call_check(lua_State *state)
{
	const struct call *call = lua_touserdata(state, 1);

	lua_rawgeti(state, LUA_REGISTRYINDEX, sandbox_of(state)->check);
	lua_pushlstring(state, call->url, call->length);
	lua_pushstring(state, call->source);
	lua_call(state, 2, 1);
	if (lua_toboolean(state, -1) && lua_type(state, -1) != LUA_TSTRING)
		return luaL_error(state, "check() returned a %s; a verdict's name or nil is wanted",
				  luaL_typename(state, -1));
	return 1;
}

enum lua_sandbox_result lua_sandbox_check(struct lua_sandbox *sandbox, const char *url,
					  size_t length, const char *source, long steps,
					  const char **answer, size_t *answer_length,
					  struct error *error)
{
	struct call call = { url, source, length };
	int status;

	lua_settop(sandbox->state, 0);
	allow(sandbox, steps);
	lua_pushcfunction(sandbox->state, call_check);
	lua_pushlightuserdata(sandbox->state, &call);
	status = lua_pcall(sandbox->state, 1, 1, 0);
	if (status) {
		describe(sandbox, status, error);
		return status == LUA_ERRMEM ? LUA_SANDBOX_FULL : LUA_SANDBOX_FAILED;
	}
	if (!lua_toboolean(sandbox->state, -1))
		return LUA_SANDBOX_NOTHING;
	*answer = lua_tolstring(sandbox->state, -1, answer_length);
	return LUA_SANDBOX_ANSWER;
}
