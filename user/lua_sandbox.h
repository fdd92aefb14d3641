/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A Lua script in a state of its own that bounds what it can do: it computes, within limits of
 * memory and of work, and reaches neither files nor the system. What it cannot do:
 *
 * - load other code, in particular bytecode, which can break out of Lua
 * - set metatables: a finalizer (`__gc`) runs where nothing can stop it, and `__len` or `__index`
 *   can keep functions of the library busy for ever
 * - run coroutines, and functions of the library that loop over numbers alone (table.move)
 * - assign to globals after it has been loaded: a forgotten `local` would carry what one query
 *   left into the next
 *
 * The work is counted in steps: an instruction of Lua's machine, a comparison in a pattern, and
 * 64 bytes that are allocated are one each. Unlike time they are the same on each machine and
 * under each load, and so is what the script says.
 */
#ifndef XDP_ICP_LUA_SANDBOX_H
#define XDP_ICP_LUA_SANDBOX_H

#include <stddef.h>

#include <lua.h>

#include "error.h"

#define LUA_SANDBOX_MEMORY (16u << 20)	 /* bytes */
#define LUA_SANDBOX_LOAD_STEPS 10000000l /* for what stands outside of functions */

struct lua_sandbox;

/*
 * Runs a script, which has to define `function check(url, source)`. NULL with an error that begins
 * with `name` and the line.
 */
struct lua_sandbox *lua_sandbox_open(const char *name, const char *text, size_t length,
				     struct error *error);

/* `sandbox` may be NULL. */
void lua_sandbox_close(struct lua_sandbox *sandbox);

enum lua_sandbox_result {
	LUA_SANDBOX_ANSWER,
	LUA_SANDBOX_NOTHING,
	LUA_SANDBOX_FAILED, /* with an error */
	LUA_SANDBOX_FULL,   /* the same; what the script keeps leaves no memory to work in */
};

/*
 * Calls check() with a URL of `length` bytes. `*answer`, of `*answer_length` bytes, is valid until
 * the next call.
 */
enum lua_sandbox_result lua_sandbox_check(struct lua_sandbox *sandbox, const char *url,
					  size_t length, const char *source, long steps,
					  const char **answer, size_t *answer_length,
					  struct error *error);

/* For functions of the library: the steps that are left, and the error that there are none. */
long *lua_sandbox_steps(lua_State *state);
int lua_sandbox_exhausted(lua_State *state);

#endif
