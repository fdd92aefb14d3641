/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lua's patterns, by a search that counts its steps. The library's own cannot be stopped: a pattern
 * with a few repetitions that does not match takes hours on some URL of a few thousand bytes.
 */
#ifndef XDP_ICP_LUA_PATTERN_H
#define XDP_ICP_LUA_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define LUA_PATTERN_CAPTURES 32 /* as in Lua */
#define LUA_PATTERN_DEPTH 200	/* of items that may have to be tried again */
#define LUA_PATTERN_NONE ((ssize_t)-1)

/* Instead of a length. */
#define LUA_PATTERN_OPEN ((ssize_t)-1)	   /* its parenthesis is not closed */
#define LUA_PATTERN_POSITION ((ssize_t)-2) /* `()`: the place itself is what is captured */

struct lua_pattern_capture {
	size_t begin;
	ssize_t length;
};

struct lua_pattern {
	const char *text, *pattern; /* not changed, may have any bytes */
	size_t text_length, pattern_length;
	long *steps; /* that are left; below zero: the search was given up */

	/* What was found. */
	unsigned int capture_count;
	struct lua_pattern_capture captures[LUA_PATTERN_CAPTURES];
	const char *mistake; /* in the pattern, or NULL */

	unsigned int depth;
};

/*
 * Matches the pattern from byte `pattern_at` on with the text from byte `at` on, there and nowhere
 * behind: `^` is for the caller to see. Returns where the match ends, or LUA_PATTERN_NONE; then
 * `mistake` is set if the pattern is wrong, and `*steps` below zero if it took too long.
 */
ssize_t lua_pattern_match(struct lua_pattern *search, size_t at, size_t pattern_at);

#endif
