// SPDX-License-Identifier: GPL-2.0-or-later
/* The kind lua: what scripts say, and that they can do no harm. */
#include <lauxlib.h>
#include <lualib.h>

#include "kind_support.h"
#include "lua_sandbox.h"

static struct policy *make_script(const char *script, const char *settings)
{
	char text[512];

	snprintf(text, sizeof(text), "kind = lua %s", settings);
	return make_file_policy(text, script, strlen(script));
}

/* The script is a mistake; the error goes on like this behind the file's name. */
static void assert_script_error(const char *script, const char *expected)
{
	char text[512];

	snprintf(text, sizeof(text), "FILE%s", expected);
	assert_file_error("kind = lua", script, strlen(script), text);
}

TEST(what_scripts_say)
{
	struct policy *policy = make_script(
		"local said = { a = 'hit', b = 'ICP_OP_MISS_NOFETCH', c = 'Denied', n = nil, f = "
		"false }\n"
		"function check(url, source)\n"
		"  if url == 'source/' then return source == '192.0.2.4' and 'hit' end\n"
		"  if url == 'source/6' then return source == '2001:db8::6' and 'hit' end\n"
		"  if url == 'bytes/\\xff\\x80' then return 'err' end\n"
		"  return said[url:match('/(.)$')]\n"
		"end",
		"");

	assert_said(policy, "x/a", ICP_OP_HIT);
	assert_said(policy, "x/b", ICP_OP_MISS_NOFETCH);
	assert_said(policy, "x/c", ICP_OP_DENIED);
	assert_said(policy, "x/n", NOTHING);
	assert_said(policy, "x/f", NOTHING);
	assert_said(policy, "source/", ICP_OP_HIT);
	assert_said(policy, "source/6", ICP_OP_HIT);
	assert_said(policy, "bytes/\xff\x80", ICP_OP_ERR);
	policy_free(policy);
}

TEST(what_is_no_verdict_counts_as_nothing)
{
	struct policy *policy = make_script("local said = { a = 'hot', b = 7, c = {}, d = true,\n"
					    "  e = '-', f = 'hit_obj', g = 'hit\\0' }\n"
					    "function check(url)\n"
					    "  if url == 'h' then error({}) end\n"
					    "  if url == 'i' then local x = nil; x.y = 1 end\n"
					    "  return said[url]\n"
					    "end",
					    "");

	for (char url[] = "a"; *url <= 'i'; ++*url)
		assert_gave_up(policy, url);
	assert_said(policy, "z", NOTHING);
	policy_free(policy);
}

TEST(with_not)
{
	struct policy *policy = make_script("function check(url)\n"
					    "  if url == 'a' then return 'hit' end\n"
					    "  if url == 'b' then error('no') end\n"
					    "end",
					    "not = true verdict = denied cost = 7");

	assert_said(policy, "a", NOTHING);
	assert_said(policy, "z", ICP_OP_DENIED);
	assert_int_equal(ask_somehow(policy, "b").verdict, ICP_OP_DENIED);
	assert_true(ask_somehow(policy, "b").gave_up);
	assert_int_equal(policy->cost, 7);
	policy_free(policy);
}

static struct chain *make_script_chain(const char *script, const char *settings)
{
	struct chain *chain;
	struct error error;
	char text[512], path[LIST_PATH_SIZE];

	write_list(path, script, strlen(script));
	snprintf(text, sizeof(text), "policy p { kind = lua file = '%s' %s }", path, settings);
	chain = try_chain(text, &error);
	unlink(path);
	if (!chain)
		fail_msg("%s", error.text);
	return chain;
}

TEST(what_may_be_remembered)
{
	static const char script[] = "function check(url) return url == 'a' and 'hit' or\n"
				     "url == 'b' and error('no') or nil end";
	struct chain *chain = make_script_chain(script, "ttl = 90s");
	struct chain_decision decision = decide_url(chain, "a");

	assert_true(decision.memorable);
	assert_true(decision.by_source);
	assert_int_equal(decision.expires, 90 * 1000000000ull);
	assert_true(decide_url(chain, "z").memorable);
	/* A mistake is not what the script says. */
	assert_false(decide_url(chain, "b").memorable);
	chain_free(chain);
	chain = make_script_chain(script, "");
	assert_false(decide_url(chain, "a").memorable);
	assert_false(decide_url(chain, "z").memorable);
	chain_free(chain);
}

/* --- limits */

TEST(scripts_that_do_not_end)
{
	static const char *const bodies[] = {
		"while true do end",
		"while true do pcall(function() while true do end end) end",
		"local function f() pcall(f) while true do pcall(f) end end f()",
		"repeat local ok = pcall(error, 'x') until false",
		"local function f() return f() end f()",
		"while true do pcall(string.rep, 'x', 1000) end",
		"(''):rep(math.maxinteger)",
		"('x'):rep(math.maxinteger, 'y')",
		"local s = 'x' while true do s:upper() s = #s < 65536 and s .. s or s end",
		"local s = ('a'):rep(8000) pcall(s.find, s, '.-.-.-.-x') while true do end",
		"return (('a'):rep(8000):find('.-.-.-.-x'))",
		"return (('a'):rep(8000):match('(.*)(.*)(.*)x'))",
		"return (('a'):rep(8000):gsub('.-.-.-.-x', ''))",
		"for a in ('a'):rep(8000):gmatch('.-.-.-.-x') do end",
		"local s = ('a'):rep(8000) while true do pcall(s.find, s, '.-.-x') end",
		"local s = ('a'):rep(8000) while true do s:find('x', 1, true) end",
		"table.sort({ 3, 2, 1 }, function() while true do end end)",
		"('x'):gsub('x', function() while true do end end)",
	};

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		char script[512];
		struct policy *policy;

		snprintf(script, sizeof(script),
			 "function check(url) if url == 'a' then return 'hit' end\n%s\nend",
			 bodies[i]);
		if (strncmp(bodies[i], "(''", 3) == 0 || strncmp(bodies[i], "('x'", 4) == 0)
			snprintf(script, sizeof(script),
				 "function check(url) if url == 'a' then return 'hit' end\n"
				 "local x = %s\nend",
				 bodies[i]);
		policy = make_script(script, "");
		assert_gave_up(policy, "b");
		assert_said(policy, "a", ICP_OP_HIT);
		assert_gave_up(policy, "b");
		policy_free(policy);
	}
}

TEST(more_instructions_take_a_script_further)
{
	static const char script[] = "function check() for i = 1, 5000 do end return 'hit' end";
	struct policy *policy = make_script(script, "instructions = 1000");

	assert_gave_up(policy, "a");
	policy_free(policy);
	policy = make_script(script, "instructions = 10000");
	/* The same each time: what is left of one query is not the next one's. */
	for (int i = 0; i < 100; i++)
		assert_said(policy, "a", ICP_OP_HIT);
	policy_free(policy);
}

TEST(memory)
{
	struct policy *policy = make_script("local kept, block = {}, ('x'):rep(1 << 20)\n"
					    "function check(url)\n"
					    "  if url == 'big' then return block:rep(20) end\n"
					    "  kept[#kept + 1] = block .. #kept\n"
					    "  return #kept == 1 and 'hit' or 'miss'\n"
					    "end",
					    "instructions = 1000000");
	int anew = 0;

	assert_gave_up(policy, "big");
	assert_said(policy, "a", ICP_OP_HIT);
	/* A script that is full begins anew, and so it does not fail for ever. */
	for (int i = 0; i < 100; i++) {
		struct policy_match match = ask_somehow(policy, "a");

		if (match.gave_up)
			assert_said(policy, "a", ICP_OP_HIT);
		anew += match.gave_up;
	}
	assert_in_range(anew, 2, 20);
	policy_free(policy);
}

TEST(what_is_not_there)
{
	static const char *const names[] = {
		"io",	       "os",	       "package",	 "debug",
		"coroutine",   "require",      "load",		 "loadstring",
		"loadfile",    "dofile",       "collectgarbage", "_G",
		"print",       "getmetatable", "setmetatable",	 "rawset",
		"rawget",      "rawequal",     "rawlen",	 "string.dump",
		"string.pack", "table.move",   "('').dump",	 "warn",
		"xpcall",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char script[128];
		struct policy *policy;

		snprintf(script, sizeof(script), "function check() return %s == nil and 'hit' end",
			 names[i]);
		policy = make_script(script, "");
		if (ask_somehow(policy, "a").verdict != ICP_OP_HIT)
			fail_msg("there is %s", names[i]);
		policy_free(policy);
	}
}

TEST(what_one_query_leaves_to_the_next)
{
	struct policy *policy = make_script("local count = 0\n"
					    "function check(url)\n"
					    "  if url == 'a' then said = 'hit' end\n"
					    "  if url == 'c' then check = nil end\n"
					    "  count = count + 1\n"
					    "  return said or count == 2 and 'denied'\n"
					    "end",
					    "");

	assert_gave_up(policy, "a"); /* a forgotten `local` is a mistake */
	assert_gave_up(policy, "c");
	assert_said(policy, "b", NOTHING);
	assert_said(policy, "b", ICP_OP_DENIED); /* what is kept on purpose is kept */
	assert_said(policy, "b", NOTHING);
	policy_free(policy);
}

/* --- the library */

/* What check() returns with Lua's own library, or the fact that it is an error. */
static void ask_lua(const char *definition, char *text, size_t size)
{
	lua_State *lua = luaL_newstate();
	char script[600];

	luaL_openlibs(lua);
	snprintf(script, sizeof(script), "%s return check()", definition);
	snprintf(text, size, "%s", luaL_dostring(lua, script) ? "error" : lua_tostring(lua, -1));
	lua_close(lua);
}

TEST(strings_as_lua_has_them)
{
	static const char *const expressions[] = {
		"('hello'):find('l')",
		"('hello'):find('l', -1)",
		"('hello'):find('l', 4)",
		"('hello'):find('', 10)",
		"('hello'):find('', 6)",
		"('a.b'):find('.', 2, true)",
		"('hello'):find('(l)(.)')",
		"('hello'):find('xyz')",
		"('hello'):find('^e', 2)",
		"('hello'):find('^h', 2)",
		"('hello'):find('', -100)",
		"('hello'):match('h(.-)o')",
		"('hello'):match('()ll()')",
		"('hello'):match('.', -2)",
		"('hello'):match('x')",
		"(123):type()",
		"string.find(123, 2)",
		"string.match(1.5, '%.')",
		"('hello'):gsub('l', 'L')",
		"('hello'):gsub('l', 'L', 1)",
		"('hello'):gsub('', '-')",
		"('hello'):gsub('l*', 'x')",
		"('hello'):gsub('^h', 'x')",
		"('hello'):gsub('(h)(e)', '%2%1%0%%')",
		"('hello'):gsub('l', '%1')",
		"('hello'):gsub('l', '%2')",
		"('hello'):gsub('l', '%x')",
		"('hello'):gsub('l', '%')",
		"('hello'):gsub('.', { h = 'H', e = false, l = 1 })",
		"('hello'):gsub('(.)(.)', { h = 'H' })",
		"('hello'):gsub('.', function(c) if c == 'l' then return 'L' end end)",
		"('hello'):gsub('(.)(.)', function(a, b) return b .. a end)",
		"('hello'):gsub('.', function() return {} end)",
		"('hello'):gsub('.', 7)",
		"('hello'):gsub('.')",
		"('hello'):gsub('()l', '%1')",
		"('hello'):gsub('l', 'x', 0)",
		"('abc'):gsub('%w', '%0%0')",
		"('hello'):gsub('.', true)",
		"('x'):rep(3)",
		"('x'):rep(3, ', ')",
		"('x'):rep(0)",
		"('x'):rep(-1)",
		"('x'):rep('3')",
		"('hello'):find('[')",
		"('hello'):gsub('[', 'x')",
		"(' a  b '):gsub('^%s*(.-)%s*$', '%1')",
		"all(('a=1, b=2'):gmatch('(%w+)=(%w+)'))",
		"all(('hello'):gmatch('l'))",
		"all(('hello'):gmatch(''))",
		"all(('hello'):gmatch('^h'))",
		"all(('hello'):gmatch('.', 4))",
		"all(('hello'):gmatch('.', -2))",
		"all(('hello'):gmatch('x*', 9))",
		"all(('abc'):gmatch('()'))",
		"utf8.len('hellö')",
		"table.concat({ 1, 2, 3 }, '-')",
		"('%5.2f|%q'):format(1.234, 'a\\n')",
	};

	for (size_t i = 0; i < sizeof(expressions) / sizeof(expressions[0]); i++) {
		char script[512], expected[128], text[128] = "error";
		struct lua_sandbox *sandbox;
		const char *answer;
		struct error error;
		size_t length;

		snprintf(script, sizeof(script),
			 "local function all(...)\n"
			 "  local list = {}\n"
			 "  for a, b in ... do list[#list + 1] = tostring(a) .. tostring(b) end\n"
			 "  return table.concat(list, ' ')\n"
			 "end\n"
			 "local function list(...)\n"
			 "  local all = table.pack(...)\n"
			 "  for i = 1, all.n do all[i] = tostring(all[i]) end\n"
			 "  return table.concat(all, ' ')\n"
			 "end\n"
			 "function check() return list(%s) end",
			 expressions[i]);
		ask_lua(script, expected, sizeof(expected));
		sandbox = lua_sandbox_open("s", script, strlen(script), &error);
		if (!sandbox)
			fail_msg("%s", error.text);
		if (lua_sandbox_check(sandbox, "", 0, "", 100000, &answer, &length, &error) ==
		    LUA_SANDBOX_ANSWER)
			snprintf(text, sizeof(text), "%s", answer);
		if (strcmp(text, expected) != 0)
			fail_msg("%s: '%s', not '%s'", expressions[i], text, expected);
		lua_sandbox_close(sandbox);
	}
}

/* --- mistakes */

TEST(mistakes_in_the_script)
{
	assert_script_error("\n\nfunction check( return end",
			    ":3: <name> or '...' expected near 'return'");
	assert_script_error("local x = nil\nx.y = 1",
			    ":2: attempt to index a nil value (local 'x')");
	assert_script_error("error('no')", ":1: no");
	assert_script_error("error({})", ": an error that is a table, not a text");
	assert_script_error("local check = 1", ":1: it has no 'function check(url, source)'");
	assert_script_error("check = 'hit'", ":1: it has no 'function check(url, source)'");
	assert_script_error("\nwhile true do pcall(error) end",
			    ":2: it did not end within 10000000 instructions");
	assert_script_error("local t = {} for i = 1, 1 << 30 do t[i] = i end",
			    ": it needs more than 16 MiB of memory");
	assert_script_error("\x1bLua", ": attempt to load a binary chunk (mode is 't')");
}

TEST(mistakes_in_the_policy)
{
	assert_policy_error("kind = lua", "c:1: policy 'p': 'file' is missing (the script, which "
					  "has a 'function check(url, source)')");
	assert_policy_error("kind = lua\nfile = '/nowhere/at.lua'",
			    "c:2: policy 'p': cannot read the script '/nowhere/at.lua': No such "
			    "file or directory; name a file of at most 4 MiB that the daemon may "
			    "read");
	assert_policy_error("kind = lua file = '/dev/zero'",
			    "c:1: policy 'p': cannot read the script '/dev/zero': not a "
			    "regular file; name a file of at most 4 MiB that the daemon may read");
	assert_policy_error("kind = lua file = x\ninstructions = 10",
			    "c:2: policy 'p': instructions: '10' is not a number from 1000 to "
			    "10000000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_scripts_say),
		cmocka_unit_test(what_is_no_verdict_counts_as_nothing),
		cmocka_unit_test(with_not),
		cmocka_unit_test(what_may_be_remembered),
		cmocka_unit_test(scripts_that_do_not_end),
		cmocka_unit_test(more_instructions_take_a_script_further),
		cmocka_unit_test(memory),
		cmocka_unit_test(what_is_not_there),
		cmocka_unit_test(what_one_query_leaves_to_the_next),
		cmocka_unit_test(strings_as_lua_has_them),
		cmocka_unit_test(mistakes_in_the_script),
		cmocka_unit_test(mistakes_in_the_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
