// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An item is what stands for one byte (`a`, `.`, `%d`, `[a-z]`) with `?`, `*`, `+` or `-` behind it
 * or none, or one of `(`, `)`, `%b`, `%f`, `%1` and `$` at the end. What cannot be taken back is
 * gone through in a loop; what can is tried, and tried with less or more if the rest does not fit.
 */
#include <ctype.h>
#include <string.h>

#include "lua_pattern.h"

static ssize_t match(struct lua_pattern *search, size_t at, size_t item);

static bool charge(struct lua_pattern *search, size_t steps)
{
	*search->steps -= (long)steps;
	return *search->steps >= 0;
}

static bool failed(const struct lua_pattern *search)
{
	return search->mistake || *search->steps < 0;
}

static ssize_t wrong(struct lua_pattern *search, const char *mistake)
{
	search->mistake = mistake;
	return LUA_PATTERN_NONE;
}

/* A byte of the pattern, a NUL behind its end. */
static unsigned char byte(const struct lua_pattern *search, size_t at)
{
	return at < search->pattern_length ? (unsigned char)search->pattern[at] : '\0';
}

/* --- items that stand for one byte */

/* Where the set that begins at `[` ends: at its `]`. The first byte in it is never that. */
static size_t set_end(struct lua_pattern *search, size_t at)
{
	size_t first = at + 1 + (byte(search, at + 1) == '^');

	for (at = first; at < search->pattern_length; at++) {
		if (byte(search, at) == '%')
			at++;
		else if (byte(search, at) == ']' && at != first)
			return at;
	}
	search->mistake = "a set has no ']'";
	return at;
}

/* Where the quantifier behind an item is. */
static size_t item_end(struct lua_pattern *search, size_t item)
{
	if (byte(search, item) == '[')
		return set_end(search, item) + 1;
	if (byte(search, item) != '%')
		return item + 1;
	if (item + 1 >= search->pattern_length)
		search->mistake = "it ends with a '%'";
	return item + 2;
}

/* Is the byte of the class `%x`? */
static bool in_class(unsigned char c, unsigned char class)
{
	bool in;

	switch (tolower(class)) {
	case 'a':
		in = isalpha(c);
		break;
	case 'c':
		in = iscntrl(c);
		break;
	case 'd':
		in = isdigit(c);
		break;
	case 'g':
		in = isgraph(c);
		break;
	case 'l':
		in = islower(c);
		break;
	case 'p':
		in = ispunct(c);
		break;
	case 's':
		in = isspace(c);
		break;
	case 'u':
		in = isupper(c);
		break;
	case 'w':
		in = isalnum(c);
		break;
	case 'x':
		in = isxdigit(c);
		break;
	case 'z': /* from the time when patterns could not have a NUL */
		in = c == '\0';
		break;
	default:
		return c == class;
	}
	return isupper(class) ? !in : in;
}

/* Is the byte in the set from `[` to the `]` at `end`? */
static bool in_set(const struct lua_pattern *search, unsigned char c, size_t set, size_t end)
{
	bool complement = byte(search, set + 1) == '^';
	size_t at = set + 1 + complement;

	while (at < end) {
		if (byte(search, at) == '%') {
			if (in_class(c, byte(search, at + 1)))
				return !complement;
			at += 2;
		} else if (byte(search, at + 1) == '-' && at + 2 < end) {
			if (byte(search, at) <= c && c <= byte(search, at + 2))
				return !complement;
			at += 3;
		} else if (byte(search, at++) == c) {
			return !complement;
		}
	}
	return complement;
}

static bool fits(struct lua_pattern *search, size_t at, size_t item, size_t end)
{
	unsigned char c;

	if (at >= search->text_length || !charge(search, end - item))
		return false;
	c = search->text[at];
	switch (byte(search, item)) {
	case '.':
		return true;
	case '%':
		return in_class(c, byte(search, item + 1));
	case '[':
		return in_set(search, c, item, end - 1);
	default:
		return c == byte(search, item);
	}
}

/* As many as fit, then fewer. */
static ssize_t match_most(struct lua_pattern *search, size_t at, size_t item, size_t end)
{
	size_t most = at;

	while (fits(search, most, item, end))
		most++;
	for (; !failed(search); most--) {
		ssize_t result = match(search, most, end + 1);

		if (result != LUA_PATTERN_NONE || most == at)
			return result;
	}
	return LUA_PATTERN_NONE;
}

/* As few as will do. */
static ssize_t match_least(struct lua_pattern *search, size_t at, size_t item, size_t end)
{
	for (; !failed(search); at++) {
		ssize_t result = match(search, at, end + 1);

		if (result != LUA_PATTERN_NONE || failed(search) || !fits(search, at, item, end))
			return result;
	}
	return LUA_PATTERN_NONE;
}

/* --- captures */

static ssize_t open_capture(struct lua_pattern *search, size_t at, size_t item)
{
	bool position = byte(search, item + 1) == ')';
	ssize_t result;

	if (search->capture_count == LUA_PATTERN_CAPTURES)
		return wrong(search, "it has more than 32 captures");
	search->captures[search->capture_count++] =
		(struct lua_pattern_capture){ at,
					      position ? LUA_PATTERN_POSITION : LUA_PATTERN_OPEN };
	result = match(search, at, item + 1 + position);
	if (result == LUA_PATTERN_NONE)
		search->capture_count--;
	return result;
}

static ssize_t close_capture(struct lua_pattern *search, size_t at, size_t item)
{
	unsigned int last = search->capture_count;
	ssize_t result;

	while (last && search->captures[last - 1].length != LUA_PATTERN_OPEN)
		last--;
	if (!last)
		return wrong(search, "a ')' has no '('");
	search->captures[last - 1].length = (ssize_t)(at - search->captures[last - 1].begin);
	result = match(search, at, item + 1);
	if (result == LUA_PATTERN_NONE)
		search->captures[last - 1].length = LUA_PATTERN_OPEN;
	return result;
}

/* The same text again that a capture has. Returns where it ends. */
static ssize_t match_capture(struct lua_pattern *search, size_t at, unsigned char digit)
{
	const struct lua_pattern_capture *capture = search->captures;
	unsigned int number = digit - '0';

	if (number)
		capture += number - 1;
	if (!number || number > search->capture_count || capture->length == LUA_PATTERN_OPEN)
		return wrong(search, "a '%' with a digit names no capture before it");
	/* A position has no text, and none is like it. */
	if (capture->length < 0 || (size_t)capture->length > search->text_length - at ||
	    !charge(search, capture->length) ||
	    memcmp(search->text + capture->begin, search->text + at, capture->length) != 0)
		return LUA_PATTERN_NONE;
	return (ssize_t)at + capture->length;
}

/* --- the others */

/* `%bxy`: from x to the y that closes it. */
static ssize_t match_balanced(struct lua_pattern *search, size_t at, size_t item)
{
	unsigned char open = byte(search, item + 2), close = byte(search, item + 3);
	size_t depth = 0;

	if (item + 3 >= search->pattern_length)
		return wrong(search, "a '%b' has no two characters behind it");
	for (; at < search->text_length && charge(search, 1); at++) {
		unsigned char c = search->text[at];

		if (c == close && depth) {
			if (--depth == 0)
				return (ssize_t)at + 1;
		} else if (c == open) {
			depth++;
		} else if (!depth) {
			break;
		}
	}
	return LUA_PATTERN_NONE;
}

/* `%f[set]`: what is before is not in the set, what is behind is. Either end of the text is a NUL. */
static bool at_frontier(struct lua_pattern *search, size_t at, size_t set, size_t end)
{
	unsigned char before = at ? search->text[at - 1] : '\0';
	unsigned char behind = at < search->text_length ? search->text[at] : '\0';

	return charge(search, end - set) && !in_set(search, before, set, end - 1) &&
	       in_set(search, behind, set, end - 1);
}

/*
 * If the item is none for one byte and matches without anything to be tried again, goes on behind
 * it (1); 0: it is one for a byte; -1: it does not match.
 */
static int match_special(struct lua_pattern *search, size_t *at, size_t *item)
{
	unsigned char kind = byte(search, *item + 1);
	ssize_t result;
	size_t end;

	if (byte(search, *item) != '%')
		return 0;
	if (isdigit(kind)) {
		result = match_capture(search, *at, kind);
		*item += 2;
	} else if (kind == 'b') {
		result = match_balanced(search, *at, *item);
		*item += 4;
	} else if (kind == 'f') {
		if (byte(search, *item + 2) != '[') {
			wrong(search, "a '%f' has no set behind it");
			return -1;
		}
		end = set_end(search, *item + 2) + 1;
		if (search->mistake || !at_frontier(search, *at, *item + 2, end))
			return -1;
		result = (ssize_t)*at;
		*item = end;
	} else {
		return 0;
	}
	if (result == LUA_PATTERN_NONE)
		return -1;
	*at = result;
	return 1;
}

static ssize_t match_items(struct lua_pattern *search, size_t at, size_t item)
{
	while (charge(search, 1)) {
		ssize_t result;
		size_t end;

		if (item >= search->pattern_length)
			return (ssize_t)at;
		if (byte(search, item) == '(')
			return open_capture(search, at, item);
		if (byte(search, item) == ')')
			return close_capture(search, at, item);
		if (byte(search, item) == '$' && item + 1 == search->pattern_length)
			return at == search->text_length ? (ssize_t)at : LUA_PATTERN_NONE;
		result = match_special(search, &at, &item);
		if (result < 0)
			return LUA_PATTERN_NONE;
		if (result)
			continue;
		end = item_end(search, item);
		if (search->mistake)
			return LUA_PATTERN_NONE;
		switch (byte(search, end)) {
		case '?':
			if (fits(search, at, item, end)) {
				result = match(search, at + 1, end + 1);
				if (result != LUA_PATTERN_NONE || failed(search))
					return result;
			}
			item = end + 1;
			break;
		case '+':
			return fits(search, at, item, end) ? match_most(search, at + 1, item, end)
							   : LUA_PATTERN_NONE;
		case '*':
			return match_most(search, at, item, end);
		case '-':
			return match_least(search, at, item, end);
		default:
			if (!fits(search, at, item, end))
				return LUA_PATTERN_NONE;
			at++;
			item = end;
		}
	}
	return LUA_PATTERN_NONE;
}

static ssize_t match(struct lua_pattern *search, size_t at, size_t item)
{
	ssize_t result;

	if (search->depth == LUA_PATTERN_DEPTH)
		return wrong(search, "it has too many repetitions and captures");
	search->depth++;
	result = match_items(search, at, item);
	search->depth--;
	return result;
}

ssize_t lua_pattern_match(struct lua_pattern *search, size_t at, size_t pattern_at)
{
	ssize_t end;

	search->capture_count = 0;
	search->mistake = NULL;
	search->depth = 0;
	end = match(search, at, pattern_at);
	if (failed(search))
		return LUA_PATTERN_NONE;
	for (unsigned int i = 0; end != LUA_PATTERN_NONE && i < search->capture_count; i++)
		if (search->captures[i].length == LUA_PATTERN_OPEN)
			return wrong(search, "a '(' has no ')'");
	return end;
}
