// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/byte_order_mark.h"
#include "lib/escape.h"
#include "prefix.h"
#include "icpctl/rules_file.h"
#include "icp/opcode.h"

static bool is_white_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* --- one rule */

int rule_length_check(size_t length, struct error *error)
{
	if (length > PREFIX_URL_MAX)
		return error_set(error, "the prefix has %zu bytes; a rule's has %u at most", length,
				 PREFIX_URL_MAX);
	return 0;
}

int rule_prefix_check(const char *prefix, size_t length, struct error *error)
{
	if (rule_length_check(length, error))
		return -1;
	for (size_t i = 0; i < length; i++)
		if (is_white_space(prefix[i]) || prefix[i] == '\0')
			return error_set(error,
					 "the prefix has %s at byte %zu; it would never match, as "
					 "a URL with one gets ICP_OP_ERR",
					 prefix[i] ? "white space" : "a NUL", i + 1);
	return 0;
}

enum icp_opcode rule_verdict(const char *name, size_t length, struct error *error)
{
	enum icp_opcode verdict = verdict_from_name(name, length);

	if (verdict == ICP_OP_INVALID) {
		char *text = escape(name, length);

		error_set(error, "'%s' is not a verdict; it can be " VERDICT_NAMES,
			  text ? text : "?");
		free(text);
	}
	return verdict;
}

/* --- the file */

/* `text` is a line without white space at its ends, except for the TAB after an empty prefix. */
static int read_rule(const char *text, size_t size, size_t line, struct rule_list *list,
		     struct error *error)
{
	size_t prefix_size = 0;
	enum icp_opcode verdict;
	size_t verdict_at;
	size_t length;
	char *prefix;
	int result;

	while (prefix_size < size && !is_white_space(text[prefix_size]))
		prefix_size++;
	verdict_at = prefix_size;
	while (verdict_at < size && is_white_space(text[verdict_at]))
		verdict_at++;
	if (verdict_at == size)
		return error_set(error, "no verdict; must be PREFIX, a TAB, and " VERDICT_NAMES);
	verdict = rule_verdict(text + verdict_at, size - verdict_at, error);
	if (verdict == ICP_OP_INVALID)
		return -1;
	prefix = unescape(text, prefix_size, &length);
	if (!prefix)
		return error_set(error, "out of memory");
	result = rule_prefix_check(prefix, length, error);
	if (result == 0 && rule_list_add(list, prefix, length, verdict, line))
		result = error_set(error, "out of memory");
	free(prefix);
	return result;
}

static int check_duplicates(const char *name, const struct rule_list *list, struct error *error)
{
	for (size_t i = 1; i < list->count; i++) {
		const struct rule_line *first = &list->rules[i - 1];
		const struct rule_line *again = &list->rules[i];

		if (rule_compare(first, again) == 0 && first->verdict != again->verdict)
			return error_set(error,
					 "%s:%zu: line %zu already has this prefix, with "
					 "another verdict (%s)",
					 name, again->line, first->line,
					 opcode_name(first->verdict));
	}
	return 0;
}

int rules_file_read(FILE *in, const char *name, struct rule_list *list, struct error *error)
{
	char *text = NULL;
	size_t room = 0;
	size_t line = 0;
	ssize_t size;
	int result = 0;

	while (result == 0 && (errno = 0, size = getline(&text, &room, in)) >= 0) {
		line++;
		while (size && is_white_space(text[size - 1]))
			size--;
		if (size == 0 || text[0] == '#')
			continue;
		if (line == 1 && has_byte_order_mark(text, (size_t)size))
			result = error_set(error, BYTE_ORDER_MARK_ERROR);
		else
			result = read_rule(text, (size_t)size, line, list, error);
		if (result)
			error_prefix(error, "%s:%zu: ", name, line);
	}
	if (result == 0 && !feof(in))
		result = error_set(error, "%s: cannot read: %s", name, strerror(errno));
	free(text);
	if (result)
		return result;
	rule_list_sort(list);
	return check_duplicates(name, list, error);
}

static void print_prefix(FILE *out, const struct rule_line *rule)
{
	for (size_t i = 0; i < rule->length; i++) {
		char text[ESCAPE_MAX + 1];

		if ((i == 0 && rule->prefix[i] == '#') || rule->prefix[i] == ' ')
			snprintf(text, sizeof(text), "\\x%02x", (unsigned char)rule->prefix[i]);
		else
			escape_byte((unsigned char)rule->prefix[i], text);
		fputs(text, out);
	}
}

void rules_file_print(FILE *out, const struct rule_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct rule_line *rule = &list->rules[i];
		bool good = icp_is_verdict(rule->verdict);

		if (!good)
			fputs("# ", out);
		print_prefix(out, rule);
		if (good)
			fprintf(out, "\t%s\n", opcode_name(rule->verdict));
		else
			fprintf(out, "\t%d is not a verdict\n", (int)rule->verdict);
	}
}
