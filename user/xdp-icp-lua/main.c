// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs a Lua script for a policy of xdp-icpd, as a child of its helper pool. Standard input has the
 * script (a line with its length in bytes, then the text), then a line `URL SOURCE` per query. The
 * reply to each is a line: the verdict that check() returned, `-` for none, or `! ` and an error. An
 * empty line asks whether the script was loaded: `-`, or `! ` and the reason why not.
 *
 * The script has the parts of Lua that only compute. An endless loop is ended by the daemon, which
 * kills the process at the policy's timeout; memory is limited here. The script cannot open files or
 * start processes, and never runs as root.
 */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "lib/escape.h"
#include "helper/pool.h"
#include "lib/log.h"
#include "icp/opcode.h"

#define NOBODY 65534	      /* user and group to change to if started as root */
#define MEMORY (64u << 20)    /* bytes of address space */
#define SCRIPT_MAX (4u << 20) /* bytes */
#define MESSAGE_MAX 400	      /* bytes shown of a script's output or of an error */
#define PRINTS_A_SECOND 10    /* lines */

/* Seconds for a query; the daemon normally kills the process long before. */
#define BACKSTOP (HELPER_TIMEOUT_MAX / 1000 + 1)

/* The script's name in Lua's messages, replaced by the file's in replies. */
#define SCRIPT "script"

static const char *name; /* of the script's file */

/* --- limits */

static int set_limit(int resource, rlim_t limit)
{
	const struct rlimit both = { limit, limit };

	return setrlimit(resource, &both);
}

/* Drop privileges and set limits. Returns -1 with errno. */
static int restrict_process(void)
{
	if (geteuid() == 0 && (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
			       setresuid(NOBODY, NOBODY, NOBODY)))
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_PDEATHSIG, SIGKILL) ||
	    set_limit(RLIMIT_NOFILE, 0) || set_limit(RLIMIT_CORE, 0))
		return -1;
/* Sanitizers take terabytes of address space, and some a thread. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	if (set_limit(RLIMIT_AS, MEMORY) || set_limit(RLIMIT_NPROC, 0))
		return -1;
#endif
	return 0;
}

/* --- the script */

/* print() for scripts: write to the log, as standard output carries the protocol. */
static int print(lua_State *state)
{
	static unsigned int printed;
	static time_t second;
	int count = lua_gettop(state);
	luaL_Buffer buffer;
	const char *text;
	size_t length;
	char *shown;

	if (second != time(NULL)) {
		second = time(NULL);
		printed = 0;
	}
	if (++printed > PRINTS_A_SECOND) {
		if (printed == PRINTS_A_SECOND + 1)
			log_write(LOG_NOTICE, "%s: more output in this second suppressed", name);
		return 0;
	}
	luaL_buffinit(state, &buffer);
	for (int i = 1; i <= count; i++) {
		if (i > 1)
			luaL_addchar(&buffer, '\t');
		luaL_tolstring(state, i, NULL);
		luaL_addvalue(&buffer);
	}
	luaL_pushresult(&buffer);
	text = lua_tolstring(state, -1, &length);
	shown = escape(text, length < MESSAGE_MAX ? length : MESSAGE_MAX);
	log_write(LOG_NOTICE, "%s: %s", name, shown ? shown : "");
	free(shown);
	return 0;
}

static void open_libraries(lua_State *state)
{
	static const luaL_Reg libraries[] = {
		{ LUA_GNAME, luaopen_base },	    { LUA_TABLIBNAME, luaopen_table },
		{ LUA_STRLIBNAME, luaopen_string }, { LUA_MATHLIBNAME, luaopen_math },
		{ LUA_UTF8LIBNAME, luaopen_utf8 },  { NULL },
	};
	/* They read files, write to standard error, or run bytecode, which Lua does not verify. */
	static const char *const removed[] = { "dofile", "loadfile", "load", "warn", NULL };

	for (const luaL_Reg *library = libraries; library->name; library++) {
		luaL_requiref(state, library->name, library->func, 1);
		lua_pop(state, 1);
	}
	for (const char *const *function = removed; *function; function++) {
		lua_pushnil(state);
		lua_setglobal(state, *function);
	}
	lua_pushcfunction(state, print);
	lua_setglobal(state, "print");
}

struct script {
	char *text;
	size_t length;
	int check; /* reference to the function */
};

static int load_script(lua_State *state)
{
	struct script *script = lua_touserdata(state, 1);

	open_libraries(state);
	if (luaL_loadbufferx(state, script->text, script->length, "=" SCRIPT, "t"))
		return lua_error(state);
	lua_call(state, 0, 0);
	if (lua_getglobal(state, "check") != LUA_TFUNCTION) {
		lua_pushliteral(state, SCRIPT ":1: it has no 'function check(url, source)'");
		return lua_error(state);
	}
	script->check = luaL_ref(state, LUA_REGISTRYINDEX);
	return 0;
}

struct call {
	const struct script *script;
	const char *url, *source;
	const char *reply; /* static string */
};

static int call_check(lua_State *state)
{
	struct call *call = lua_touserdata(state, 1);
	enum icp_opcode verdict;
	const char *text;
	size_t length;

	lua_rawgeti(state, LUA_REGISTRYINDEX, call->script->check);
	lua_pushstring(state, call->url);
	lua_pushstring(state, call->source);
	lua_call(state, 2, 1);
	call->reply = "-";
	if (!lua_toboolean(state, -1))
		return 0;
	if (lua_type(state, -1) != LUA_TSTRING)
		return luaL_error(state,
				  "check() returned a %s; expected the name of a verdict or nil",
				  luaL_typename(state, -1));
	text = lua_tolstring(state, -1, &length);
	verdict = verdict_from_name(text, length);
	if (verdict == ICP_OP_INVALID)
		return luaL_error(
			state,
			"check() returned '%s', which is not a verdict; it can be " VERDICT_NAMES
			", or nil",
			text);
	call->reply = opcode_short_name(verdict);
	return 0;
}

/* --- the protocol */

static void reply(const char *line)
{
	if (puts(line) == EOF || fflush(stdout))
		_exit(EXIT_FAILURE);
}

/* Reply with the error on top of the stack, naming the script's file. */
static void reply_error(lua_State *state, int status)
{
	char line[HELPER_REPLY_MAX / 2];
	const char *text = lua_type(state, -1) == LUA_TSTRING ? lua_tostring(state, -1) : NULL;

	if (status == LUA_ERRMEM)
		snprintf(line, sizeof(line), "! %s: it needs more than %u MiB of memory", name,
			 MEMORY >> 20);
	else if (!text)
		snprintf(line, sizeof(line), "! %s: an error that is a %s, not a text", name,
			 luaL_typename(state, -1));
	else if (strncmp(text, SCRIPT ":", strlen(SCRIPT ":")) == 0)
		snprintf(line, sizeof(line), "! %s%.*s", name, MESSAGE_MAX, text + strlen(SCRIPT));
	else
		snprintf(line, sizeof(line), "! %s: %.*s", name, MESSAGE_MAX, text);
	for (char *end = line; (end = strpbrk(end, "\r\n"));)
		*end = ' ';
	reply(line);
}

/* Call the function with its argument. Returns false if it failed, after replying with the error. */
static bool call(lua_State *state, lua_CFunction function, void *argument)
{
	int status;

	lua_settop(state, 0);
	lua_pushcfunction(state, function);
	lua_pushlightuserdata(state, argument);
	status = lua_pcall(state, 1, 0, 0);
	if (!status)
		return true;
	reply_error(state, status);
	/* The script retains too much memory; a new process starts with none in use. */
	if (status == LUA_ERRMEM)
		_exit(EXIT_FAILURE);
	return false;
}

/* Returns -1 if the input is malformed or too long. */
static int read_script(struct script *script)
{
	char line[32];

	if (!fgets(line, sizeof(line), stdin))
		return -1;
	script->length = strtoul(line, NULL, 10);
	if (script->length > SCRIPT_MAX)
		return -1;
	script->text = malloc(script->length + 1);
	if (!script->text)
		return -1;
	return fread(script->text, 1, script->length, stdin) == script->length ? 0 : -1;
}

static void serve(lua_State *state, const struct script *script)
{
	static char line[ICP_MESSAGE_MAX + 64];

	while (alarm(0), fgets(line, sizeof(line), stdin)) {
		struct call query = { .script = script, .url = line };
		char *space;

		alarm(BACKSTOP);
		line[strcspn(line, "\n")] = '\0';
		space = strrchr(line, ' ');
		if (space) {
			*space = '\0';
			query.source = space + 1;
			if (!call(state, call_check, &query))
				continue;
		}
		reply(space ? query.reply : "-");
	}
}

int main(int argc, char **argv)
{
	struct script script = { 0 };
	lua_State *state;

	log_open("xdp-icp-lua", LOG_NOTICE);
	if (argc != 2) {
		log_write(LOG_ERR, "xdp-icpd runs this for a policy of the kind lua: NAME <SCRIPT");
		return EXIT_FAILURE;
	}
	name = argv[1];
	if (restrict_process()) {
		log_write(LOG_ERR, "%s: cannot drop privileges: %s", name, strerror(errno));
		return EXIT_FAILURE;
	}
	alarm(BACKSTOP);
	state = luaL_newstate();
	if (read_script(&script) || !state) {
		log_write(LOG_ERR, "%s: cannot be read", name);
		return EXIT_FAILURE;
	}
	if (call(state, load_script, &script))
		serve(state, &script);
	/* Nothing needs flushing, and a finalizer might not terminate. */
	_exit(EXIT_SUCCESS);
}
