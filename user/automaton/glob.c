// SPDX-License-Identifier: GPL-2.0-or-later
#include <fnmatch.h>
#include <locale.h>
#include <string.h>

#include "automaton/glob.h"

#define BRACKET_MAX 512 /* bytes */

/* The length of [:NAME:] at the beginning of a text, with a class that "C" has. 0: none. */
static size_t class_length(const char *text, size_t length)
{
	static const char *const names[] = {
		"alpha", "digit", "alnum", "upper", "lower", "space",
		"blank", "punct", "print", "graph", "cntrl", "xdigit"
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		size_t size = strlen(names[i]);

		if (length >= size + 4 && memcmp(text, "[:", 2) == 0 &&
		    memcmp(text + 2, names[i], size) == 0 && memcmp(text + 2 + size, ":]", 2) == 0)
			return size + 4;
	}
	return 0;
}

/* The length of a bracket expression, from [ to ]; 0, with an error: of no form known for certain. */
static size_t bracket_length(const char *text, size_t length, struct error *error)
{
	size_t at = 1;

	if (at < length && (text[at] == '!' || text[at] == '^'))
		at++;
	for (size_t first = at; at < length; at++) {
		size_t class;

		if (text[at] == ']' && at > first)
			return at + 1;
		if (text[at] == '\\') {
			at++;
			continue;
		}
		if (text[at] != '[' || at + 1 >= length || !strchr(":.=", text[at + 1]))
			continue;
		class = class_length(text + at, length - at);
		if (!class || text[at - 1] == '-') {
			error_write(error, "'[%c' in a bracket expression that is no class",
				    text[at + 1]);
			return 0;
		}
		at += class - 1;
		if (at + 1 < length && text[at + 1] == '-') {
			error_write(error, "'-' behind a class in a bracket expression");
			return 0;
		}
	}
	error_write(error, "'[' without ']'");
	return 0;
}

/* Ask fnmatch() which bytes belong to a bracket expression. */
static int ask(const char *text, size_t length, struct bytes *set, struct error *error)
{
	char bracket[BRACKET_MAX + 1], byte[2] = "";
	locale_t c, old;

	if (length > BRACKET_MAX)
		return error_set(error, "a bracket expression of more than %d bytes", BRACKET_MAX);
	c = newlocale(LC_ALL_MASK, "C", NULL);
	if (!c)
		return error_set(error, "out of memory");
	memcpy(bracket, text, length);
	bracket[length] = '\0';
	old = uselocale(c);
	for (unsigned int i = 1; i < 256; i++) {
		byte[0] = i;
		if (fnmatch(bracket, byte, 0) == 0)
			bytes_add(set, i);
	}
	uselocale(old);
	freelocale(c);
	return 0;
}

/* One byte of any. */
static uint32_t add_any(struct tree *tree, struct error *error)
{
	struct bytes any = { 0 };

	bytes_invert(&any);
	return tree_add_set(tree, &any, error);
}

/* Add the item that the text begins with, and set its length. */
static uint32_t parse_item(struct tree *tree, const char *text, size_t left, size_t *length,
			   struct error *error)
{
	struct bytes set = { 0 };
	uint32_t item, repeated;

	*length = 1;
	switch (text[0]) {
	case '*':
		repeated = add_any(tree, error);
		item = repeated ? tree_add(tree, TREE_REPEAT, error) : 0;
		if (item) {
			tree->nodes[item].max = TREE_NO_MAX;
			tree_append(tree, item, repeated);
		}
		return item;
	case '?':
		return add_any(tree, error);
	case '[':
		*length = bracket_length(text, left, error);
		if (*length == 0 || ask(text, *length, &set, error))
			return 0;
		return tree_add_set(tree, &set, error);
	case '\\':
		if (left < 2) {
			error_write(error, "a backslash at the end");
			return 0;
		}
		*length = 2;
		break;
	}
	bytes_add(&set, text[*length - 1]);
	return tree_add_set(tree, &set, error);
}

static int append(struct tree *tree, uint32_t sequence, uint32_t item)
{
	if (!item)
		return -1;
	tree_append(tree, sequence, item);
	return 0;
}

uint32_t glob_parse(struct tree *tree, const char *text, size_t length, struct error *error)
{
	uint32_t sequence = tree_add(tree, TREE_SEQUENCE, error);

	if (!sequence || append(tree, sequence, tree_add(tree, TREE_BEGIN, error)))
		return 0;
	while (length) {
		size_t taken;

		if (append(tree, sequence, parse_item(tree, text, length, &taken, error)))
			return 0;
		text += taken;
		length -= taken;
	}
	if (append(tree, sequence, tree_add(tree, TREE_END, error)))
		return 0;
	return sequence;
}
