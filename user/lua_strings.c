// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "lua_pattern.h"
#include "lua_sandbox.h"
#include "lua_strings.h"

static void spend(lua_State *state, lua_Integer steps)
{
	long *left = lua_sandbox_steps(state);

	if (*left < steps) {
		*left = -1;
		lua_sandbox_exhausted(state);
	}
	*left -= steps;
}

/* The byte at which argument `number` says to begin, from 0 on; negative ones count from the end. */
static size_t begin_at(lua_State *state, int number, size_t length)
{
	lua_Integer at = luaL_optinteger(state, number, 1);

	if (at > 0)
		return at - 1;
	if (at == 0 || -at > (lua_Integer)length || at == LUA_MININTEGER)
		return 0;
	return length + at;
}

/* A search for the pattern in argument 2 in the text in argument 1. */
static struct lua_pattern search_of(lua_State *state, int text, int pattern)
{
	struct lua_pattern search = { .steps = lua_sandbox_steps(state) };

	search.text = luaL_checklstring(state, text, &search.text_length);
	search.pattern = luaL_checklstring(state, pattern, &search.pattern_length);
	return search;
}

static ssize_t match_at(lua_State *state, struct lua_pattern *search, size_t at, size_t pattern_at)
{
	ssize_t end = lua_pattern_match(search, at, pattern_at);

	if (*search->steps < 0)
		lua_sandbox_exhausted(state);
	if (search->mistake)
		luaL_error(state, "malformed pattern: %s", search->mistake);
	return end;
}

/* The first match at `*at` or behind; moves `*at` there. */
static ssize_t match_from(lua_State *state, struct lua_pattern *search, size_t *at)
{
	bool anchor = search->pattern_length && search->pattern[0] == '^';

	for (; *at <= search->text_length; ++*at) {
		ssize_t end = match_at(state, search, *at, anchor);

		if (end != LUA_PATTERN_NONE || anchor)
			return end;
	}
	return LUA_PATTERN_NONE;
}

static void push_capture(lua_State *state, const struct lua_pattern *search, unsigned int number)
{
	const struct lua_pattern_capture *capture = &search->captures[number];

	if (capture->length == LUA_PATTERN_POSITION)
		lua_pushinteger(state, (lua_Integer)capture->begin + 1);
	else
		lua_pushlstring(state, search->text + capture->begin, capture->length);
}

/* What a match yields: its captures, or all of it if it has none. Returns how many. */
static int push_match(lua_State *state, const struct lua_pattern *search, size_t at, size_t end)
{
	if (!search->capture_count) {
		lua_pushlstring(state, search->text + at, end - at);
		return 1;
	}
	luaL_checkstack(state, LUA_PATTERN_CAPTURES, NULL);
	for (unsigned int i = 0; i < search->capture_count; i++)
		push_capture(state, search, i);
	return (int)search->capture_count;
}

static int push_place(lua_State *state, size_t at, size_t end)
{
	lua_pushinteger(state, (lua_Integer)at + 1);
	lua_pushinteger(state, (lua_Integer)end);
	return 2;
}

/* Has the pattern nothing in it but plain text? find() takes it so, an odd `)` too. */
static bool is_plain(const struct lua_pattern *search)
{
	for (size_t i = 0; i < search->pattern_length; i++)
		if (search->pattern[i] && strchr("^$*+?.([%-", search->pattern[i]))
			return false;
	return true;
}

/* find(text, pattern [, from [, plain]]) */
static int find(lua_State *state)
{
	struct lua_pattern search = search_of(state, 1, 2);
	size_t at = begin_at(state, 3, search.text_length);
	const char *found;
	ssize_t end;

	if (at > search.text_length) {
		lua_pushnil(state);
		return 1;
	}
	if (lua_toboolean(state, 4) || is_plain(&search)) {
		spend(state, (lua_Integer)(search.text_length - at) / 16);
		found = memmem(search.text + at, search.text_length - at, search.pattern,
			       search.pattern_length);
		if (found)
			return push_place(state, found - search.text,
					  found - search.text + search.pattern_length);
	} else {
		end = match_from(state, &search, &at);
		if (end != LUA_PATTERN_NONE) {
			push_place(state, at, end);
			return 2 + (search.capture_count ? push_match(state, &search, at, end) : 0);
		}
	}
	lua_pushnil(state);
	return 1;
}

/* match(text, pattern [, from]) */
static int match(lua_State *state)
{
	struct lua_pattern search = search_of(state, 1, 2);
	size_t at = begin_at(state, 3, search.text_length);
	ssize_t end = match_from(state, &search, &at);

	if (end != LUA_PATTERN_NONE)
		return push_match(state, &search, at, end);
	lua_pushnil(state);
	return 1;
}

/* What gmatch() returns. Upvalues: text, pattern, where to go on, where the last match ended. */
static int next_match(lua_State *state)
{
	struct lua_pattern search = search_of(state, lua_upvalueindex(1), lua_upvalueindex(2));
	size_t at = lua_tointeger(state, lua_upvalueindex(3));
	lua_Integer last = lua_tointeger(state, lua_upvalueindex(4));

	for (; at <= search.text_length; at++) {
		/* `^` has no meaning here: the loop would have no end. */
		ssize_t end = match_at(state, &search, at, 0);

		/* An empty match right behind another is none. */
		if (end == LUA_PATTERN_NONE || end == last)
			continue;
		lua_pushinteger(state, end);
		lua_copy(state, -1, lua_upvalueindex(3));
		lua_replace(state, lua_upvalueindex(4));
		return push_match(state, &search, at, end);
	}
	return 0;
}

/* gmatch(text, pattern [, from]) */
static int gmatch(lua_State *state)
{
	size_t length;

	luaL_checklstring(state, 1, &length);
	luaL_checkstring(state, 2);
	lua_pushinteger(state, (lua_Integer)begin_at(state, 3, length));
	lua_replace(state, 3);
	lua_settop(state, 3);
	lua_pushinteger(state, -1);
	lua_pushcclosure(state, next_match, 4);
	return 1;
}

/* Adds the text of argument 3, in which %0 to %9 stand for captures. */
static void add_text(lua_State *state, const struct lua_pattern *search, luaL_Buffer *buffer,
		     size_t at, size_t end)
{
	size_t length;
	const char *text = lua_tolstring(state, 3, &length);

	for (size_t i = 0; i < length; i++) {
		unsigned int digit;

		if (text[i] != '%') {
			luaL_addchar(buffer, text[i]);
			continue;
		}
		if (++i < length && text[i] == '%') {
			luaL_addchar(buffer, '%');
			continue;
		}
		digit = i < length ? (unsigned int)(text[i] - '0') : 10;
		if (digit > 9 || digit > (search->capture_count ? search->capture_count : 1))
			luaL_error(state, "a '%%' in the replacement has no number of a capture "
					  "behind it");
		if (digit == 0 || !search->capture_count) {
			luaL_addlstring(buffer, search->text + at, end - at);
		} else {
			push_capture(state, search, digit - 1);
			luaL_tolstring(state, -1, NULL);
			lua_remove(state, -2);
			luaL_addvalue(buffer);
		}
	}
}

/* Adds what takes the place of a match. */
static void add_replacement(lua_State *state, const struct lua_pattern *search, luaL_Buffer *buffer,
			    size_t at, size_t end)
{
	int count;

	switch (lua_type(state, 3)) {
	case LUA_TFUNCTION:
		lua_pushvalue(state, 3);
		count = push_match(state, search, at, end);
		lua_call(state, count, 1);
		break;
	case LUA_TTABLE:
		count = push_match(state, search, at, end);
		lua_pop(state, count - 1);
		lua_gettable(state, 3);
		break;
	default:
		add_text(state, search, buffer, at, end);
		return;
	}
	if (lua_toboolean(state, -1) && !lua_isstring(state, -1))
		luaL_error(state, "the replacement is a %s, not a string",
			   luaL_typename(state, -1));
	if (!lua_toboolean(state, -1)) {
		lua_pop(state, 1);
		lua_pushlstring(state, search->text + at, end - at);
	}
	luaL_addvalue(buffer);
}

/* gsub(text, pattern, replacement [, most]) */
static int gsub(lua_State *state)
{
	struct lua_pattern search = search_of(state, 1, 2);
	bool anchor = search.pattern_length && search.pattern[0] == '^';
	lua_Integer most = luaL_optinteger(state, 4, (lua_Integer)search.text_length + 1);
	lua_Integer count = 0;
	int type = lua_type(state, 3);
	ssize_t last = LUA_PATTERN_NONE;
	luaL_Buffer buffer;
	size_t at = 0;

	luaL_argexpected(state,
			 type == LUA_TSTRING || type == LUA_TNUMBER || type == LUA_TTABLE ||
				 type == LUA_TFUNCTION,
			 3, "string/function/table");
	if (type == LUA_TNUMBER)
		lua_tostring(state, 3); /* in place, before the buffer lies on the stack */
	luaL_buffinit(state, &buffer);
	while (count < most) {
		ssize_t end = match_at(state, &search, at, anchor);

		if (end != LUA_PATTERN_NONE && end != last) {
			count++;
			add_replacement(state, &search, &buffer, at, end);
			at = last = end;
		} else if (at < search.text_length) {
			luaL_addchar(&buffer, search.text[at++]);
		} else {
			break;
		}
		if (anchor)
			break;
	}
	luaL_addlstring(&buffer, search.text + at, search.text_length - at);
	luaL_pushresult(&buffer);
	lua_pushinteger(state, count);
	return 2;
}

/* rep(text, times [, between]) */
static int rep(lua_State *state)
{
	size_t length, between_length;
	const char *text = luaL_checklstring(state, 1, &length);
	lua_Integer times = luaL_checkinteger(state, 2);
	const char *between = luaL_optlstring(state, 3, "", &between_length);
	luaL_Buffer buffer;

	luaL_buffinit(state, &buffer);
	for (lua_Integer i = 0; i < times; i++) {
		spend(state, 1);
		if (i)
			luaL_addlstring(&buffer, between, between_length);
		luaL_addlstring(&buffer, text, length);
	}
	luaL_pushresult(&buffer);
	return 1;
}

const luaL_Reg lua_strings[] = {
	{ "find", find }, { "match", match }, { "gmatch", gmatch },
	{ "gsub", gsub }, { "rep", rep },     { NULL, NULL },
};
