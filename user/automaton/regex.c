// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A parser by recursive descent. It reads what PCRE2 has accepted, so that it need not find errors,
 * but must never take a construct for another: what it does not know is refused by name.
 *
 * As a URL has no line feed, some things have no effect: the options m and s, and \Z is \z. Neither do
 * the options U, J and n, which are about what is captured.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "automaton/class.h"
#include "automaton/regex.h"

#define DEPTH_MAX 250	 /* of groups; PCRE2's own limit */
#define REPEAT_MAX 65535 /* PCRE2's too */

static uint32_t parse_choice(struct regex_parser *parser);

bool regex_refuse(struct regex_parser *parser, const char *format, ...)
{
	char text[200];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	error_write(parser->error, "%s", text);
	return false;
}

static bool is_digit(unsigned char byte)
{
	return byte >= '0' && byte <= '9';
}

/* What the option x skips. Whether 0x85 is white space too depends on how PCRE2 was built. */
static bool is_space(unsigned char byte)
{
	return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/*
 * Skip what is no item: comments, white space with the option x, \E, and \Q, after which all up to \E
 * is literal. False: refused.
 */
static bool skip(struct regex_parser *parser)
{
	const unsigned char *end;

	while (regex_more(parser, 1)) {
		if (parser->quoted) {
			if (!regex_ahead(parser, "\\E"))
				return true;
			parser->quoted = false;
			parser->at += 2;
		} else if (regex_ahead(parser, "\\Q") || regex_ahead(parser, "\\E")) {
			parser->quoted = parser->at[1] == 'Q';
			parser->at += 2;
		} else if (regex_ahead(parser, "(?#")) {
			end = memchr(parser->at, ')', parser->end - parser->at);
			if (!end)
				return regex_refuse(parser, "a comment without its end");
			parser->at = end + 1;
		} else if (parser->extended && *parser->at == 0x85) {
			return regex_refuse(parser, "the byte 85 with the option x");
		} else if (parser->extended && *parser->at == '#') {
			end = memchr(parser->at, '\n', parser->end - parser->at);
			parser->at = end ? end + 1 : parser->end;
		} else if (parser->extended && is_space(*parser->at)) {
			parser->at++;
		} else {
			return true;
		}
	}
	return true;
}

static uint32_t add_set(struct regex_parser *parser, const struct bytes *set)
{
	return tree_add_set(parser->tree, set, parser->error);
}

static uint32_t add_literal(struct regex_parser *parser, unsigned char byte)
{
	struct bytes set = { 0 };

	regex_add_byte(parser, &set, byte);
	return add_set(parser, &set);
}

static uint32_t add(struct regex_parser *parser, enum tree_kind kind)
{
	return tree_add(parser->tree, kind, parser->error);
}

/* Read a number of at most REPEAT_MAX. */
static bool read_number(struct regex_parser *parser, uint32_t *number)
{
	*number = 0;
	if (!regex_more(parser, 1) || !is_digit(*parser->at))
		return false;
	while (regex_more(parser, 1) && is_digit(*parser->at)) {
		*number = 10 * *number + (*parser->at++ - '0');
		if (*number > REPEAT_MAX)
			return false;
	}
	return true;
}

/* Is this {N}, {N,} or {N,M}? If so, read it. */
static bool read_braces(struct regex_parser *parser, uint32_t *min, uint32_t *max)
{
	const unsigned char *begin = parser->at++;

	if (read_number(parser, min)) {
		*max = *min;
		if (regex_ahead(parser, ",")) {
			parser->at++;
			*max = TREE_NO_MAX;
			if (regex_more(parser, 1) && is_digit(*parser->at) &&
			    !read_number(parser, max))
				*max = 0;
		}
		if (regex_ahead(parser, "}") && *min <= *max) {
			parser->at++;
			return true;
		}
	}
	parser->at = begin;
	return false;
}

/* Read a quantifier with its modifier. Returns 1: it was one; 0: it is none; -1: refused. */
static int read_quantifier(struct regex_parser *parser, uint32_t *min, uint32_t *max)
{
	*min = *parser->at == '+';
	*max = *parser->at == '?' ? 1 : TREE_NO_MAX;
	if (*parser->at == '{') {
		if (!read_braces(parser, min, max))
			return 0;
	} else if (regex_ahead_is(parser, "*+?")) {
		parser->at++;
	} else {
		return 0;
	}
	if (!skip(parser))
		return -1;
	if (!parser->quoted && regex_ahead(parser, "+")) {
		regex_refuse(parser, "a possessive quantifier");
		return -1;
	}
	if (!parser->quoted && regex_ahead(parser, "?"))
		parser->at++;
	return 1;
}

/* Wrap an item into its repetition. */
static uint32_t repeat(struct regex_parser *parser, uint32_t item, uint32_t min, uint32_t max)
{
	uint32_t repetition = add(parser, TREE_REPEAT);

	if (!repetition)
		return 0;
	parser->tree->nodes[repetition].min = min;
	parser->tree->nodes[repetition].max = max;
	tree_append(parser->tree, repetition, item);
	return repetition;
}

/* An escape sequence outside of a class; `at` is behind the backslash. */
static uint32_t parse_escape(struct regex_parser *parser, bool *repeatable)
{
	struct bytes set = { 0 };
	unsigned char byte;

	if (!regex_more(parser, 1))
		return regex_refuse(parser, "a backslash at the end");
	byte = *parser->at;
	*repeatable = false;
	switch (byte) {
	case 'A':
	case 'G':
		parser->at++;
		return add(parser, TREE_BEGIN);
	case 'z':
	case 'Z':
		parser->at++;
		return add(parser, TREE_END);
	case 'b':
		parser->at++;
		return add(parser, TREE_EDGE);
	case 'B':
		parser->at++;
		return add(parser, TREE_NO_EDGE);
	}
	*repeatable = true;
	if (byte == 'N') {
		parser->at++;
		if (regex_ahead(parser, "{"))
			return regex_refuse(parser, "\\N{");
		bytes_invert(&set);
		return add_set(parser, &set);
	}
	if (regex_class_escape(byte, &set)) {
		parser->at++;
		return add_set(parser, &set);
	}
	if (byte >= '1' && byte <= '9')
		return regex_refuse(parser, "the back reference \\%c", byte);
	if (!regex_byte_escape(parser, &byte))
		return 0;
	return add_literal(parser, byte);
}

/* Skip the name of a group up to its terminator. */
static bool skip_name(struct regex_parser *parser, char terminator)
{
	const unsigned char *end = memchr(parser->at, terminator, parser->end - parser->at);

	if (!end || end == parser->at)
		return regex_refuse(parser, "a group's name without its end");
	parser->at = end + 1;
	return true;
}

/* Options up to ) or :, behind the question mark. False: refused. */
static bool read_options(struct regex_parser *parser)
{
	bool on = true, twice = false;

	if (regex_ahead(parser, "^")) {
		parser->at++;
		parser->caseless = parser->extended = parser->extended_more = false;
	}
	for (; regex_more(parser, 1) && *parser->at != ')' && *parser->at != ':'; parser->at++) {
		switch (*parser->at) {
		case '-':
			on = false;
			break;
		case 'i':
			parser->caseless = on;
			break;
		case 'x':
			parser->extended = on;
			if (regex_more(parser, 2) && parser->at[1] == 'x') {
				parser->at++;
				twice = true;
			}
			parser->extended_more = on && twice;
			break;
		case 'm':
		case 's':
		case 'n':
		case 'U':
		case 'J':
			break;
		default:
			return regex_refuse(parser, "(?%c...)", *parser->at);
		}
	}
	if (!regex_more(parser, 1))
		return regex_refuse(parser, "'(' without ')'");
	return true;
}

/* What each construct that begins with (? is called, if it is not regular or not known. */
static bool refuse_group(struct regex_parser *parser)
{
	static const struct {
		const char *begins, *name;
	} names[] = {
		{ "=", "the look-ahead (?=" },	    { "!", "the look-ahead (?!" },
		{ "<=", "the look-behind (?<=" },   { "<!", "the look-behind (?<!" },
		{ "*", "the look-ahead (?*" },	    { "<*", "the look-behind (?<*" },
		{ ">", "the atomic group (?>" },    { "(", "the condition (?(" },
		{ "C", "the callout (?C" },	    { "R", "the recursion (?R" },
		{ "&", "the subroutine call (?&" }, { "P>", "the subroutine call (?P>" },
		{ "+", "the subroutine call (?+" }, { "P=", "the back reference (?P=" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (regex_ahead(parser, names[i].begins))
			return regex_refuse(parser, "%s", names[i].name);
	if (is_digit(*parser->at) ||
	    (regex_ahead(parser, "-") && regex_more(parser, 2) && is_digit(parser->at[1])))
		return regex_refuse(parser, "a subroutine call");
	return true;
}

/*
 * Read what follows (? up to the beginning of the group's content. If it only sets options, `*group`
 * is false.
 */
static bool open_group(struct regex_parser *parser, bool *group)
{
	if (!regex_more(parser, 1))
		return regex_refuse(parser, "'(' without ')'");
	if (!refuse_group(parser))
		return false;
	if (regex_ahead(parser, "|")) {
		parser->at++;
		return true;
	}
	if (regex_ahead(parser, "P<") || regex_ahead(parser, "<") || regex_ahead(parser, "'")) {
		char terminator = *parser->at == '\'' ? '\'' : '>';

		parser->at += *parser->at == 'P' ? 2 : 1;
		return skip_name(parser, terminator);
	}
	if (!read_options(parser))
		return false;
	*group = *parser->at++ == ':';
	return true;
}

/*
 * A group; `at` is behind its parenthesis. Options that are set within a group hold up to its end;
 * those of a (?i) without a group of its own hold up to the end of the enclosing group.
 */
static uint32_t parse_group(struct regex_parser *parser, bool *repeatable)
{
	const struct regex_parser outside = *parser;
	uint32_t content;
	bool group = true;

	*repeatable = true;
	if (regex_ahead(parser, "*"))
		return regex_refuse(parser, "(*, a verb or an assertion by name");
	if (regex_ahead(parser, "?")) {
		parser->at++;
		if (!open_group(parser, &group))
			return 0;
	}
	if (!group) {
		*repeatable = false;
		return add(parser, TREE_EMPTY);
	}
	if (parser->depth == DEPTH_MAX)
		return regex_refuse(parser, "more than %d groups within each other", DEPTH_MAX);
	parser->depth++;
	content = parse_choice(parser);
	parser->depth--;
	if (!content)
		return 0;
	if (!regex_ahead(parser, ")"))
		return regex_refuse(parser, "'(' without ')'");
	parser->at++;
	parser->caseless = outside.caseless;
	parser->extended = outside.extended;
	parser->extended_more = outside.extended_more;
	return content;
}

/* An item without its quantifier. 0: refused. */
static uint32_t parse_item(struct regex_parser *parser, bool *repeatable)
{
	unsigned char byte = *parser->at++;
	struct bytes set = { 0 };

	*repeatable = true;
	if (parser->quoted)
		return add_literal(parser, byte);
	switch (byte) {
	case '\\':
		return parse_escape(parser, repeatable);
	case '^':
	case '$':
		*repeatable = false;
		return add(parser, byte == '^' ? TREE_BEGIN : TREE_END);
	case '.':
		bytes_invert(&set);
		return add_set(parser, &set);
	case '[':
		return regex_class(parser, &set) ? add_set(parser, &set) : 0;
	case '(':
		return parse_group(parser, repeatable);
	case '{':
		/* Versions of PCRE2 differ in whether {,3} and { 1, 3 } are quantifiers. */
		if (regex_ahead_is(parser, "0123456789, \t}"))
			return regex_refuse(parser, "'{' that is neither escaped nor a quantifier");
		return add_literal(parser, byte);
	default:
		return add_literal(parser, byte);
	}
}

/* Items up to | or ), or the end. 0: refused. */
static uint32_t parse_sequence(struct regex_parser *parser)
{
	uint32_t sequence = add(parser, TREE_SEQUENCE);

	while (sequence) {
		uint32_t item, min, max;
		bool repeatable;
		int quantified;

		if (!skip(parser))
			return 0;
		if (!regex_more(parser, 1) || (!parser->quoted && regex_ahead_is(parser, "|)")))
			return sequence;
		if (!parser->quoted && regex_ahead_is(parser, "*+?"))
			return regex_refuse(parser, "a quantifier without an item");
		item = parse_item(parser, &repeatable);
		if (!item || !skip(parser))
			return 0;
		if (!parser->quoted && regex_more(parser, 1)) {
			quantified = read_quantifier(parser, &min, &max);
			if (quantified < 0)
				return 0;
			if (quantified && !repeatable)
				return regex_refuse(parser,
						    "a quantifier of what cannot be repeated");
			if (quantified)
				item = repeat(parser, item, min, max);
			if (!item)
				return 0;
		}
		tree_append(parser->tree, sequence, item);
	}
	return 0;
}

/* Alternatives up to ), or the end. Options that one sets hold for those that follow. 0: refused. */
static uint32_t parse_choice(struct regex_parser *parser)
{
	uint32_t first = parse_sequence(parser), choice;

	if (!first || !regex_ahead(parser, "|"))
		return first;
	choice = add(parser, TREE_CHOICE);
	if (!choice)
		return 0;
	tree_append(parser->tree, choice, first);
	while (regex_ahead(parser, "|")) {
		uint32_t next;

		parser->at++;
		next = parse_sequence(parser);
		if (!next)
			return 0;
		tree_append(parser->tree, choice, next);
	}
	return choice;
}

uint32_t regex_parse(struct tree *tree, const char *text, size_t length, struct error *error)
{
	struct regex_parser parser = {
		.tree = tree,
		.at = (const unsigned char *)text,
		.end = (const unsigned char *)text + length,
		.error = error,
	};
	uint32_t root = parse_choice(&parser);

	if (root && regex_more(&parser, 1))
		return regex_refuse(&parser, "')' without '('");
	return root;
}
