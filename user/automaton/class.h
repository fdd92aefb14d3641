/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Within regex.c's parser: classes in brackets, and characters by their names and numbers. */
#ifndef XDP_ICP_AUTOMATON_CLASS_H
#define XDP_ICP_AUTOMATON_CLASS_H

#include <string.h>

#include "automaton/tree.h"

struct regex_parser {
	struct tree *tree;
	const unsigned char *at, *end;
	struct error *error;
	unsigned int depth;			/* of groups */
	bool quoted;				/* behind \Q */
	bool caseless, extended, extended_more; /* the options i, x, xx */
};

/* Are there so many bytes left? */
static inline bool regex_more(const struct regex_parser *parser, size_t bytes)
{
	return (size_t)(parser->end - parser->at) >= bytes;
}

/* Does the rest begin with a text? */
static inline bool regex_ahead(const struct regex_parser *parser, const char *text)
{
	return regex_more(parser, strlen(text)) && memcmp(parser->at, text, strlen(text)) == 0;
}

/* Is a byte, which is not NUL, one of these characters? */
static inline bool regex_is(unsigned char byte, const char *characters)
{
	return byte && strchr(characters, byte);
}

/* Does the rest begin with one of these characters? */
static inline bool regex_ahead_is(const struct regex_parser *parser, const char *characters)
{
	return regex_more(parser, 1) && regex_is(*parser->at, characters);
}

/* Set the error: what is refused. Returns false. */
bool regex_refuse(struct regex_parser *parser, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Add a byte, of a letter both cases if case does not matter. */
void regex_add_byte(const struct regex_parser *parser, struct bytes *set, unsigned char byte);

/* Is \LETTER a set of bytes, in and outside of classes? Then add it. */
bool regex_class_escape(unsigned char letter, struct bytes *set);

/* Read an escape sequence for a single byte, from behind its backslash. False: refused. */
bool regex_byte_escape(struct regex_parser *parser, unsigned char *byte);

/* Read a class, from behind its bracket to behind its end. False: refused. */
bool regex_class(struct regex_parser *parser, struct bytes *set);

#endif
