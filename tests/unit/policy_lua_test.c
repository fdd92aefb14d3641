// SPDX-License-Identifier: GPL-2.0-or-later
/* The kind lua: results of scripts, and their limits. */
#include <fcntl.h>
#include <signal.h>

#include "support/evaluations.h"
#include "helper/pool.h"
#include "policy/child.h"

TEST_EACH(open_base, close_base)

/* Sanitizers need terabytes of address space. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_IS_LIMITED false
#else
#define MEMORY_IS_LIMITED true
#endif

#define URL_MAX 16359 /* bytes, see query.h */

static char script_path[LIST_PATH_SIZE];

static struct chain *try_script(const char *script, size_t length, const char *settings,
				struct error *error)
{
	write_list(script_path, script, length);
	return try_chain(formatted("policy p { kind = lua file = '%s' %s }", script_path, settings),
			 error);
}

static struct chain *start_script(const char *script, const char *settings)
{
	struct error error;
	struct chain *chain = try_script(script, strlen(script), settings, &error);

	if (!chain || chain_start(chain, base, NULL, NULL, &error))
		fail_msg("%s", error.text);
	return chain;
}

static void end_script(struct chain *chain)
{
	chain_free(chain);
	unlink(script_path);
}

static void assert_gives_up(struct chain *chain, const char *url)
{
	struct verdict verdict;

	ask(chain, url, &verdict);
	assert_int_equal(wait_for(&verdict), NOTHING);
	assert_true(verdict.gave_up);
	assert_false(verdict.cacheable);
}

/* Ask until a child runs again. */
static enum icp_opcode decide_at_last(struct chain *chain, const char *url)
{
	enum icp_opcode opcode;

	while ((opcode = decide(chain, url)) == NOTHING)
		event_base_loop(base, EVLOOP_ONCE);
	return opcode;
}

static int child_pid(struct chain *chain)
{
	const struct policy_child *child = chain_policy(chain, 0)->state;
	int pid;

	assert_int_equal(helper_pool_children(child->pool, &pid, 1), 1);
	return pid;
}

/* --- what scripts return */

TEST(what_scripts_return)
{
	struct chain *chain = start_script(
		"local said = { a = 'hit', b = 'ICP_OP_MISS_NOFETCH', c = 'Denied', f = false }\n"
		"function check(url, source)\n"
		"  if url == 'source/' then return source == '192.0.2.4' and 'hit' end\n"
		"  if url == 'source/6' then return source == '2001:db8::6' and 'hit' end\n"
		"  return said[url:match('/(.)$')]\n"
		"end",
		"ttl = 90s timeout = 10s");
	struct verdict verdict;

	assert_int_equal(decide(chain, "x/a"), ICP_OP_HIT);
	assert_int_equal(decide(chain, "x/b"), ICP_OP_MISS_NOFETCH);
	assert_int_equal(decide(chain, "x/c"), ICP_OP_DENIED);
	assert_int_equal(decide(chain, "source/"), ICP_OP_HIT);
	assert_int_equal(decide(chain, "source/6"), ICP_OP_HIT);
	for (const char *const *url = (const char *const[]){ "x/f", "x/n", NULL }; *url; url++) {
		ask(chain, *url, &verdict);
		assert_int_equal(wait_for(&verdict), NOTHING);
		assert_false(verdict.gave_up);
		assert_true(verdict.cacheable);
	}
	end_script(chain);
}

TEST(urls_of_any_bytes)
{
	struct chain *chain = start_script("local wanted = ''\n"
					   "for i = 255, 1, -1 do\n"
					   "  if i ~= 32 and (i < 9 or i > 13) then\n"
					   "    wanted = wanted .. string.char(i)\n"
					   "  end\n"
					   "end\n"
					   "function check(url)\n"
					   "  return url:gsub('^x*', '') == wanted and 'hit'\n"
					   "end",
					   "timeout = 10s");
	static char url[URL_MAX + 1];
	char *end = url + URL_MAX;

	memset(url, 'x', URL_MAX);
	for (int i = 1; i <= 255; i++)
		if (i != ' ' && (i < '\t' || i > '\r'))
			*--end = (char)i;
	assert_int_equal(decide(chain, end), ICP_OP_HIT);
	assert_int_equal(decide(chain, url), ICP_OP_HIT);
	end_script(chain);
}

TEST(invalid_results_do_not_match)
{
	struct chain *chain = start_script(
		"local said = { a = 'hot', b = 7, c = {}, d = true, e = '-', f = 'hit_obj',\n"
		"  g = 'hit\\0', h = 'hit\\nhit', i = ('x'):rep(1 << 20), j = '\\r\\n' }\n"
		"function check(url)\n"
		"  if url == 'k' then error({}) end\n"
		"  if url == 'l' then error('a\\nhit\\27[31m') end\n"
		"  if url == 'm' then local x = nil; x.y = 1 end\n"
		"  if url == 'n' then error(nil) end\n"
		"  if url == 'o' then error(('\\n'):rep(1 << 20)) end\n"
		"  if url == 'p' then return url:rep(8000):find(('.-'):rep(300)) end\n"
		"  return said[url] or 'denied'\n"
		"end",
		"children = 1 timeout = 10s ttl = 1s");

	/* Each is parsed as one line, and the child continues. */
	for (char url[] = "a"; *url <= 'p'; ++*url) {
		assert_gives_up(chain, url);
		assert_int_equal(decide(chain, "z"), ICP_OP_DENIED);
	}
	end_script(chain);
}

TEST(with_not)
{
	struct chain *chain = start_script("function check(url)\n"
					   "  if url == 'a' then return 'hit' end\n"
					   "  if url == 'b' then error('no') end\n"
					   "end",
					   "not = true verdict = denied timeout = 10s");
	struct verdict verdict;

	assert_int_equal(decide(chain, "a"), NOTHING);
	assert_int_equal(decide(chain, "z"), ICP_OP_DENIED);
	ask(chain, "b", &verdict);
	assert_int_equal(wait_for(&verdict), ICP_OP_DENIED);
	assert_true(verdict.gave_up);
	end_script(chain);
}

TEST(what_a_child_keeps)
{
	struct chain *chain = start_script("local count = 0\n"
					   "function check(url)\n"
					   "  count = count + 1\n"
					   "  return count == 2 and 'denied' or 'hit'\n"
					   "end",
					   "children = 1 timeout = 10s");

	assert_int_equal(decide(chain, "b"), ICP_OP_HIT);
	assert_int_equal(decide(chain, "b"), ICP_OP_DENIED);
	assert_int_equal(decide(chain, "b"), ICP_OP_HIT);
	end_script(chain);
}

TEST(available_functions)
{
	static const char *const present[] = { "string.find",  "string.dump", "string.gsub",
					       "table.move",   "utf8.len",    "math.random",
					       "setmetatable", "print",	      "_G" };
	static const char *const absent[] = { "io",	 "os",	 "package",  "debug",
					      "require", "load", "loadfile", "loadstring",
					      "dofile",	 "warn", "coroutine" };
	char script[2048], *end = stpcpy(script, "function check() return ");
	struct chain *chain;

	for (size_t i = 0; i < sizeof(present) / sizeof(present[0]); i++)
		end += sprintf(end, "%s == nil and '%s' or ", present[i], present[i]);
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		end += sprintf(end, "%s ~= nil and '%s' or ", absent[i], absent[i]);
	strcpy(end, "'hit' end");
	chain = start_script(script, "timeout = 10s");
	assert_int_equal(decide(chain, "a"), ICP_OP_HIT);
	end_script(chain);
}

/* --- what they cannot do */

TEST(endless_scripts)
{
	struct chain *chain = start_script(
		"local function loop() while true do end end\n"
		"local long = ('a'):rep(30000)\n"
		"local bodies = {\n"
		"  a = loop,\n"
		"  b = function() while true do pcall(loop) end end,\n"
		"  c = function() return long:find('.-.-.-.-x') end,\n"
		"  d = function() return long:gsub('.-.-.-.-x', '') end,\n"
		"  e = function() local t = {}\n"
		"        while true do table.insert(t, 1, 0) end end,\n"
		"  f = function() table.sort({ 3, 2, 1 }, loop) end,\n"
		"  g = function() setmetatable({}, { __index = loop }).x() end,\n"
		"  h = function() setmetatable({}, { __gc = loop }) collectgarbage() end,\n"
		"  i = function() table.move({}, 1, math.maxinteger - 1, 2) end,\n"
		"}\n"
		"function check(url) return bodies[url] and bodies[url]() or 'hit' end",
		"children = 1 timeout = 200ms");

	for (char url[] = "a"; *url <= 'i'; ++*url) {
		int pid;

		assert_int_equal(decide_at_last(chain, "z"), ICP_OP_HIT);
		pid = child_pid(chain);
		assert_gives_up(chain, url);
		assert_int_equal(decide_at_last(chain, "z"), ICP_OP_HIT);
		assert_int_not_equal(child_pid(chain), pid);
		/* It was killed, and reaped. */
		assert_int_equal(kill(pid, 0), -1);
	}
	end_script(chain);
}

TEST(others_go_on_while_a_script_runs)
{
	static const char script[] =
		"function check(url) while url == 'x' do end return 'miss' end";
	struct chain *chain;
	struct verdict waits;
	struct error error;

	write_list(script_path, script, strlen(script));
	chain = make_chain(formatted("policy a { kind = exact verdict = hit url = a }"
				     "policy b { kind = lua file = '%s' timeout = 10s }",
				     script_path));
	assert_int_equal(chain_start(chain, base, NULL, NULL, &error), 0);
	ask(chain, "x", &waits);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(decide(chain, "a"), ICP_OP_HIT);
		assert_int_equal(decide(chain, "b"), ICP_OP_MISS); /* by the other child */
	}
	assert_int_equal(waits.times, 0);
	end_script(chain);
	assert_int_equal(waits.times, 1);
}

TEST(memory)
{
	struct chain *chain;

	if (!MEMORY_IS_LIMITED)
		return;
	chain = start_script("local kept, block = {}, ('x'):rep(1 << 20)\n"
			     "function check(url)\n"
			     "  if url == 'big' then return block:rep(1000) end\n"
			     "  if url == 'endless' then\n"
			     "    local t = {} while true do t[#t + 1] = {} end\n"
			     "  end\n"
			     "  kept[#kept + 1] = block .. #kept\n"
			     "  return 'hit'\n"
			     "end",
			     "children = 1 timeout = 10s");
	for (int i = 0; i < 2; i++) {
		int pid = child_pid(chain), given_up = 0;

		assert_gives_up(chain, i ? "big" : "endless");
		/* A new process starts with empty memory each time. */
		assert_int_equal(decide_at_last(chain, "a"), ICP_OP_HIT);
		assert_int_not_equal(child_pid(chain), pid);
		for (int j = 0; j < 200 && !given_up; j++)
			given_up = decide(chain, "a") == NOTHING;
		assert_true(given_up);
		assert_int_equal(decide_at_last(chain, "a"), ICP_OP_HIT);
	}
	end_script(chain);
}

TEST(what_scripts_print)
{
	char log[LIST_PATH_SIZE], line[1024];
	int file, error_output = dup(STDERR_FILENO), lines = 0;
	struct chain *chain;
	FILE *stream;

	write_list(log, "", 0);
	file = open(log, O_WRONLY | O_APPEND);
	dup2(file, STDERR_FILENO);
	close(file);
	chain = start_script("function check(url)\n"
			     "  for i = 1, 5000 do print(url, nil, 'hit\\ndenied\\27[31m') end\n"
			     "  print(('x'):rep(1 << 20))\n"
			     "  return 'miss'\n"
			     "end",
			     "children = 1 timeout = 10s");
	for (int i = 0; i < 10; i++)
		assert_int_equal(decide(chain, "hit"), ICP_OP_MISS);
	end_script(chain);
	dup2(error_output, STDERR_FILENO);
	close(error_output);

	/* The rate limit keeps a few lines per second. */
	stream = fopen(log, "r");
	assert_non_null(stream);
	for (; fgets(line, sizeof(line), stream); lines++) {
		assert_non_null(strstr(line, script_path));
		if (lines == 0)
			assert_non_null(
				strstr(line, ": hit\\x09nil\\x09hit\\x0adenied\\x1b[31m\n"));
	}
	assert_in_range(lines, 11, 1000);
	fclose(stream);
	unlink(log);
}

static bool file_has(int pid, const char *file, const char *text)
{
	char content[8192] = "";
	FILE *stream = fopen(formatted("/proc/%d/%s", pid, file), "r");

	assert_non_null(stream);
	content[fread(content, 1, sizeof(content) - 1, stream)] = '\0';
	fclose(stream);
	return strstr(content, text);
}

TEST(restrictions)
{
	struct chain *chain =
		start_script("function check() return 'hit' end", "children = 1 timeout = 10s");
	int pid;

	assert_int_equal(decide(chain, "a"), ICP_OP_HIT); /* it has dropped its privileges by now */
	pid = child_pid(chain);
	assert_true(file_has(pid, "status", "NoNewPrivs:\t1\n"));
	assert_true(file_has(pid, "status", "CapEff:\t0000000000000000\n"));
	assert_true(file_has(pid, "status", "CapPrm:\t0000000000000000\n"));
	assert_false(file_has(pid, "status", "Uid:\t0\t"));
	assert_true(file_has(pid, "limits", "Max open files            0 "));
	if (MEMORY_IS_LIMITED)
		assert_true(file_has(pid, "limits", "Max address space         67108864 "));
	end_script(chain);
}

TEST(a_changed_file_counts_from_the_next_reload_on)
{
	struct chain *chain = start_script("function check(url) while url == 'x' do end\n"
					   "return 'hit' end",
					   "children = 1 timeout = 200ms");
	int pid = child_pid(chain);

	assert_int_equal(truncate(script_path, 0), 0);
	assert_gives_up(chain, "x");
	assert_int_equal(decide_at_last(chain, "a"), ICP_OP_HIT);
	assert_int_not_equal(child_pid(chain), pid);
	end_script(chain);
}

/* --- configuration errors */

/* Expect an error for the script: the file's name followed by this text. */
static void assert_script_error(const char *script, const char *expected)
{
	struct error error;
	struct chain *chain = try_script(script, strlen(script), "", &error);

	chain_free(chain);
	unlink(script_path);
	assert_memory_equal(error.text, script_path, strlen(script_path));
	assert_string_equal(error.text + strlen(script_path), expected);
	assert_null(chain);
}

TEST(script_errors)
{
	assert_script_error("\n\nfunction check( return end",
			    ":3: <name> or '...' expected near 'return'");
	assert_script_error("local x = nil\nx.y = 1",
			    ":2: attempt to index a nil value (local 'x')");
	assert_script_error("error('no')", ":1: no");
	assert_script_error("error({})", ": an error that is a table, not a text");
	assert_script_error("local check = 1", ":1: it has no 'function check(url, source)'");
	assert_script_error("check = 'hit'", ":1: it has no 'function check(url, source)'");
	assert_script_error("", ":1: it has no 'function check(url, source)'");
	assert_script_error("\x1bLua", ": attempt to load a binary chunk (mode is 't')");
	assert_script_error("function check() end print('-')\nos.exit()",
			    ":2: attempt to index a nil value (global 'os')");
	if (MEMORY_IS_LIMITED)
		assert_script_error("local t = {} for i = 1, 1 << 30 do t[i] = i end",
				    ": it needs more than 64 MiB of memory");
}

TEST(endless_loading)
{
	struct error error;

	assert_null(try_script("while true do pcall(error) end", 30, "", &error));
	unlink(script_path);
	assert_memory_equal(error.text, script_path, strlen(script_path));
	assert_non_null(strstr(error.text, ": cannot be loaded (the code outside of functions has "
					   "3000 ms): "));
}

TEST(setting_errors)
{
	assert_chain_error(
		"policy p { kind = lua }",
		"c:1: policy 'p': 'file' is missing (the script, which defines 'function "
		"check(url, source)')");
	assert_chain_error("policy p { kind = lua\nfile = '/nowhere/at.lua' }",
			   "c:2: policy 'p': cannot read the script '/nowhere/at.lua': No such "
			   "file or directory; name a file of at most 4 MiB that the daemon may "
			   "read");
	assert_chain_error("policy p { kind = lua file = /dev/zero }",
			   "c:1: policy 'p': cannot read the script '/dev/zero': not a regular "
			   "file; name a file of at most 4 MiB that the daemon may read");
	assert_chain_error("policy p { kind = lua file = x\ntimeout = 11s }",
			   "c:2: policy 'p': timeout: '11s' is not a duration from 1ms to 10s; "
			   "write a number and ms, s, m or h");
	assert_chain_error("policy p { kind = lua file = x\nttl = 1500ms }",
			   "c:2: policy 'p': ttl: must be whole seconds");
	assert_chain_error("policy p { kind = lua file = x\ninstructions = 100000 }",
			   "c:2: policy 'p': kind 'lua' no longer takes 'instructions'; set "
			   "'timeout' (limit for a result, after which the script is killed, 1ms "
			   "to 10s; default 1s)");
	assert_chain_error("policy p { kind = lua file = x\nurls = 1 }",
			   "c:2: policy 'p': kind 'lua' does not take 'urls'; it takes file, "
			   "children, timeout, ttl, kind, verdict, cost, not");
}
