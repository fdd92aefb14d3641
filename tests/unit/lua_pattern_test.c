// SPDX-License-Identifier: GPL-2.0-or-later
/* Lua's patterns: what Lua's own library says of them, and what it does not: an end. */
#include <lauxlib.h>
#include <lualib.h>

#include "lua_pattern.h"
#include "test.h"

#define FOR_EVER 1000000

static lua_State *lua;

static int open_lua(void **state)
{
	(void)state;
	lua = luaL_newstate();
	luaL_openlibs(lua);
	return 0;
}

static int close_lua(void **state)
{
	(void)state;
	lua_close(lua);
	return 0;
}

static struct lua_pattern search_for(const char *text, size_t length, const char *pattern,
				     long *steps)
{
	return (struct lua_pattern){
		.text = text,
		.text_length = length,
		.pattern = pattern,
		.pattern_length = strlen(pattern),
		.steps = steps,
	};
}

/* The first match, as string.find() looks for it; moves `*at` there. */
static ssize_t find(struct lua_pattern *search, size_t *at)
{
	bool anchor = search->pattern[0] == '^';
	ssize_t end;

	for (*at = 0; *at <= search->text_length; ++*at) {
		end = lua_pattern_match(search, *at, anchor);
		if (end != LUA_PATTERN_NONE || anchor || search->mistake || *search->steps < 0)
			return end;
	}
	return LUA_PATTERN_NONE;
}

static void assert_capture(const struct lua_pattern *search, unsigned int i, const char *shown)
{
	const struct lua_pattern_capture *capture = &search->captures[i];
	int place = 3 + (int)i;
	const char *text;
	size_t length;

	if (capture->length == LUA_PATTERN_POSITION) {
		if (!lua_isinteger(lua, place) ||
		    lua_tointeger(lua, place) != (lua_Integer)capture->begin + 1)
			fail_msg("%s: capture %u", shown, i);
		return;
	}
	text = lua_tolstring(lua, place, &length);
	if ((ssize_t)length != capture->length ||
	    memcmp(text, search->text + capture->begin, length) != 0)
		fail_msg("%s: capture %u", shown, i);
}

/* What string.find() says, with its captures, and what we say. */
static void assert_as_lua(const char *text, size_t length, const char *pattern)
{
	char shown[256];
	long steps = FOR_EVER;
	struct lua_pattern search = search_for(text, length, pattern, &steps);
	size_t at;
	ssize_t end = find(&search, &at);

	snprintf(shown, sizeof(shown), "pattern '%s' in '%s'", pattern, text);
	lua_settop(lua, 0);
	lua_getglobal(lua, "string");
	lua_getfield(lua, -1, "find");
	lua_remove(lua, 1);
	lua_pushlstring(lua, text, length);
	lua_pushstring(lua, pattern);
	assert_true(steps >= 0);
	if (!strpbrk(pattern, "^$*+?.([%-"))
		return; /* to find() this is plain text */
	if (lua_pcall(lua, 2, LUA_MULTRET, 0)) {
		if (!search.mistake)
			fail_msg("%s is no mistake: %s", shown, lua_tostring(lua, -1));
		return;
	}
	if (search.mistake)
		fail_msg("%s is a mistake: %s", shown, search.mistake);
	if (lua_isnil(lua, 1)) {
		if (end != LUA_PATTERN_NONE)
			fail_msg("%s matches", shown);
		return;
	}
	if (end != lua_tointeger(lua, 2) || (lua_Integer)at + 1 != lua_tointeger(lua, 1))
		fail_msg("%s: from %zu to %zd, not %lld", shown, at, end, lua_tointeger(lua, 2));
	assert_int_equal(search.capture_count, lua_gettop(lua) - 2);
	for (unsigned int i = 0; i < search.capture_count; i++)
		assert_capture(&search, i, shown);
}

TEST(as_lua_has_them)
{
	static const char *const patterns[] = {
		"",
		"^",
		"$",
		"^$",
		"a*",
		"a-$",
		"^a+b?c-$",
		"[]]",
		"[^]]",
		"[a-c]+",
		"[^a-c]+",
		"[%a_-]+",
		"[%]%-]",
		"[a-]",
		"[a%-z]",
		"%%",
		"%.",
		"(a*(.)%w(%s*))",
		"()aa()",
		"(a)%1",
		"(.-)%1$",
		"%b()",
		"%bxx",
		"%f[%w]%w+",
		"%f[%z]",
		"%f[\1-\377]",
		"x*$",
		"[^%d%s]+",
		"(((a)))",
		"(()())",
		"a$b",
		"[$]",
		"^^a",
		"%^",
		"-",
		"*",
		"+a",
		"?",
		"(a-)(b-)c",
		"%g+%u",
		"%W%W",
		"[%W]-x",
		"%",
		"[a",
		"[^",
		"[%",
		"(a",
		"a)",
		"%1",
		"(%1)",
		"%0",
		"%b",
		"%bx",
		"%f",
		"%fa",
		"[]",
		"(()",
		"[a-%z]",
		"%x%X%p%P%c%C%l%L%U%S%D%G",
	};
	static const char *const texts[] = {
		"",
		"a",
		"aaab",
		"abc",
		"aabbcc",
		"a]b-c",
		"x(y(z)w)v)",
		"a a aa",
		"THE (quick) fox",
		"hello world",
		"-?*+",
		"a$b",
		"^a%.",
		"http://e.org:80/a/b?c=d&e=%20f#g",
		"xxyxx",
		"\xff\x80 \x01",
	};

	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		for (size_t j = 0; j < sizeof(texts) / sizeof(texts[0]); j++)
			assert_as_lua(texts[j], strlen(texts[j]), patterns[i]);
	assert_as_lua("a\0b\0", 4, "%z(b)%z");
	assert_as_lua("a\0b\0", 4, "%f[%z].");
}

TEST(whatever_they_look_like)
{
	static const char *const parts[] = {
		"a", "b", "%a", ".",  "[ab]", "[^a]",  "[%w-]",	 "%d", "(", ")", "()", "*", "+",
		"-", "?", "%1", "%2", "%bab", "%f[a]", "%f[^b]", "^",  "$", "%", "[",  "]", "1",
	};
	uint64_t seed = 4711;

	for (int i = 0; i < 200000; i++) {
		uint32_t count = random_below(&seed, 8), length = random_below(&seed, 12);
		char pattern[128] = "", text[16] = "";

		for (uint32_t j = 0; j < count; j++)
			strcat(pattern,
			       parts[random_below(&seed, sizeof(parts) / sizeof(parts[0]))]);
		for (uint32_t j = 0; j < length; j++)
			text[j] = "aabb1-"[random_below(&seed, 6)];
		assert_as_lua(text, length, pattern);
	}
}

TEST(a_hopeless_search_ends)
{
	static const char *const patterns[] = {
		".-.-.-.-.-.-x",	 "(.*)(.*)(.*)(.*)x", "a*a*a*a*a*a*x",
		"a?a?a?a?a?a?.*.*.*.*x", ".*(.*)%1x",	      "%b(a.*x",
	};
	char text[8000];

	memset(text, 'a', sizeof(text));
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		long steps = FOR_EVER;
		struct lua_pattern search = search_for(text, sizeof(text), patterns[i], &steps);
		size_t at;

		if (i < 5) {
			assert_int_equal(find(&search, &at), LUA_PATTERN_NONE);
			assert_true(steps < 0);
			/* Nor does it go far beyond, whatever the item. */
			assert_true(steps > -(long)sizeof(text) - 100);
			assert_null(search.mistake);
		} else {
			assert_int_equal(find(&search, &at), LUA_PATTERN_NONE);
			assert_true(steps >= 0);
		}
	}
}

TEST(too_deep)
{
	char pattern[1000];
	long steps = FOR_EVER;
	struct lua_pattern search;

	memset(pattern, 'a', sizeof(pattern));
	for (size_t i = 1; i < sizeof(pattern); i += 2)
		pattern[i] = '*';
	pattern[sizeof(pattern) - 1] = '\0';
	search = search_for("b", 1, pattern, &steps);
	assert_int_equal(lua_pattern_match(&search, 0, 0), LUA_PATTERN_NONE);
	assert_non_null(search.mistake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_lua_has_them),
		cmocka_unit_test(whatever_they_look_like),
		cmocka_unit_test(a_hopeless_search_ends),
		cmocka_unit_test(too_deep),
	};

	return cmocka_run_group_tests(tests, open_lua, close_lua);
}
