// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "config/text.h"
#include "lib/byte_order_mark.h"
#include "lib/vec.h"

/* Sections, and lists within them. */
#define DEPTH_MAX 2

struct cursor {
	char *at;
	const char *end; /* points to a NUL */
	const char *name;
	unsigned int line;
	unsigned int depth;
	unsigned int opened[DEPTH_MAX]; /* lines of the open braces */
	struct config_variables *variables;
	const struct config_variables *known;
	struct error *error;
};

#define fail(cursor, line, format, ...)                                                            \
	error_set((cursor)->error, "%s:%u: " format, (cursor)->name, line, ##__VA_ARGS__)

/* Replace a byte of a comment with a blank, keeping newlines. */
static void blank(struct cursor *cursor)
{
	if (*cursor->at == '\n')
		cursor->line++;
	else
		*cursor->at = ' ';
	cursor->at++;
}

static int blank_comment(struct cursor *cursor)
{
	unsigned int line = cursor->line;

	if (cursor->at[0] == '#' || cursor->at[1] == '/') {
		while (cursor->at < cursor->end && *cursor->at != '\n')
			blank(cursor);
		return 0;
	}
	blank(cursor);
	blank(cursor);
	while (cursor->at < cursor->end) {
		bool last = cursor->at[0] == '*' && cursor->at[1] == '/';

		blank(cursor);
		if (last) {
			blank(cursor);
			return 0;
		}
	}
	return fail(cursor, line, "the comment that begins here has no end; close it with */");
}

void config_variables_free(struct config_variables *variables)
{
	for (size_t i = 0; i < variables->count; i++)
		free(variables->names[i]);
	free(variables->names);
	*variables = (struct config_variables){ 0 };
}

static bool is_name(const char *known, const char *name, size_t length)
{
	return strncmp(known, name, length) == 0 && known[length] == '\0';
}

/* Note the name of a variable, and return it; NULL: out of memory. */
static const char *add_variable(struct config_variables *variables, const char *name, size_t length)
{
	char **added;

	for (size_t i = 0; i < variables->count; i++)
		if (is_name(variables->names[i], name, length))
			return variables->names[i];
	added = vec_append(variables->names, variables->count);
	if (added)
		*added = strndup(name, length);
	return added ? *added : NULL;
}

static bool has_variable(const struct config_variables *variables, const char *name)
{
	for (size_t i = 0; i < variables->count; i++)
		if (strcmp(variables->names[i], name) == 0)
			return true;
	return false;
}

static int check_variable(struct cursor *cursor, const char *name, bool has_default)
{
	if (getenv(name))
		return 0;
	if (cursor->known && !has_variable(cursor->known, name))
		return fail(cursor, cursor->line,
			    "${%s}: this environment variable is unknown, because the "
			    "configuration did not name it when the daemon started; restart the "
			    "daemon",
			    name);
	if (has_default)
		return 0;
	return fail(cursor, cursor->line,
		    "${%s}: no such environment variable; set it, or write ${%s:-DEFAULT}, "
		    "${%s:-} for an empty text",
		    name, name, name);
}

/* "NAME:-TEXT}", as libconfuse reads it. */
static bool has_default(const char *name)
{
	return strncmp(name + strcspn(name, ":}"), ":-", 2) == 0;
}

/* ${VARIABLE}: libconfuse would search for the brace beyond the end of the string and the line. */
static int skip_variable(struct cursor *cursor)
{
	size_t length = strcspn(cursor->at, "}\"'\n");
	const char *name = cursor->at + 2, *known;

	if (cursor->at[length] != '}')
		return fail(cursor, cursor->line,
			    "${ without }; single quotes keep the text as it is");
	if (!cursor->variables)
		return fail(cursor, cursor->line,
			    "${: a policy's own file takes no environment variables; single "
			    "quotes keep the text as it is");
	/* As libconfuse parses it: blanks around the name, and a default after :- */
	name += strspn(name, " \t");
	known = add_variable(cursor->variables, name, strcspn(name, ": \t}"));
	if (!known)
		return fail(cursor, cursor->line, "out of memory");
	if (check_variable(cursor, known, has_default(name)))
		return -1;
	cursor->at += length + 1;
	return 0;
}

/* A backslash within double quotes. */
static int skip_escape(struct cursor *cursor)
{
	const char *digits = cursor->at + 1;
	size_t octal = strspn(digits, "01234567"), decimal = strspn(digits, "0123456789");
	size_t hexadecimal = 0;
	bool bad = false;

	if (decimal)
		bad = octal != decimal || octal > 3 || strtoul(digits, NULL, 8) - 1 > 254;
	else if (digits[0] == 'x')
		hexadecimal = strspn(digits + 1, "0123456789abcdefABCDEF");
	if (hexadecimal > 2)
		hexadecimal = 2;
	/* \x00, or \x0 before a non-digit */
	if (hexadecimal && strspn(digits + 1, "0") >= hexadecimal)
		bad = true;
	if (bad)
		return fail(cursor, cursor->line,
			    "a backslash before a number that is not a byte; \\001 to \\377 and "
			    "\\x01 to "
			    "\\xff are, and \\\\ is a backslash");
	if (digits < cursor->end && *digits == '\n')
		cursor->line++;
	/* Once checked, digits are skipped as ordinary text. */
	cursor->at += digits < cursor->end ? 2 : 1;
	return 0;
}

static int skip_string(struct cursor *cursor)
{
	unsigned int line = cursor->line;
	char quote = *cursor->at++;

	while (cursor->at < cursor->end) {
		if (*cursor->at == quote) {
			cursor->at++;
			return 0;
		}
		if (*cursor->at == '\\' && quote == '"') {
			if (skip_escape(cursor))
				return -1;
		} else if (*cursor->at == '\\' && cursor->at + 1 < cursor->end) {
			cursor->line += cursor->at[1] == '\n';
			cursor->at += 2;
		} else if (strncmp(cursor->at, "${", 2) == 0 && quote == '"') {
			if (skip_variable(cursor))
				return -1;
		} else {
			cursor->line += *cursor->at == '\n';
			cursor->at++;
		}
	}
	return fail(cursor, line, "the string that begins here has no end; close it with %c",
		    quote);
}

static int skip_brace(struct cursor *cursor)
{
	if (*cursor->at++ == '{') {
		if (cursor->depth == DEPTH_MAX)
			return fail(cursor, cursor->line,
				    "too many opening braces; a list cannot hold lists");
		cursor->opened[cursor->depth++] = cursor->line;
		return 0;
	}
	if (cursor->depth == 0)
		return fail(cursor, cursor->line, "a } that closes nothing; remove it");
	cursor->depth--;
	return 0;
}

/* Skip or blank one token at the cursor. */
static int step(struct cursor *cursor)
{
	char next = cursor->at[1];

	switch (*cursor->at) {
	case '\n':
		cursor->line++;
		cursor->at++;
		return 0;
	case '#':
		return blank_comment(cursor);
	case '/':
		if (next == '/' || next == '*')
			return blank_comment(cursor);
		break;
	case '"':
	case '\'':
		return skip_string(cursor);
	case '{':
	case '}':
		return skip_brace(cursor);
	case '$':
		if (next == '{')
			return skip_variable(cursor);
		break;
	}
	/* A word, or one of the delimiters that end it. Within a word // does not begin a comment. */
	cursor->at++;
	if (!strchr(" \t\r=()+,*", cursor->at[-1]))
		cursor->at += strcspn(cursor->at, " #\"'\t\n\r={}()+,*");
	return 0;
}

int config_text_clean(char *text, size_t size, const char *name, struct config_variables *variables,
		      const struct config_variables *known, struct error *error)
{
	struct cursor cursor = { text, text + size, name, 1, .known = known, .error = error };
	const char *nul = memchr(text, '\0', size);

	cursor.variables = variables;
	for (const char *c = text; nul && c < nul; c++)
		cursor.line += *c == '\n';
	if (has_byte_order_mark(text, size))
		return fail(&cursor, 1, BYTE_ORDER_MARK_ERROR);
	if (nul)
		return fail(&cursor, cursor.line, "a NUL; a configuration is text, remove it");
	while (cursor.at < cursor.end)
		if (step(&cursor))
			return -1;
	if (cursor.depth)
		return fail(&cursor, cursor.opened[cursor.depth - 1],
			    "the { of this line is never closed; close it with }");
	return 0;
}
