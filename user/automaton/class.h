/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Within regex.c's parser: classes in brackets, and characters by their names and numbers. */
#ifndef XDP_ICP_AUTOMATON_CLASS_H
#define XDP_ICP_AUTOMATON_CLASS_H

#include "automaton/tree.h"

struct regex_parser {
	struct tree *tree;
	const unsigned char *at, *end;
	struct error *error;
	unsigned int depth;			/* of groups */
	bool quoted;				/* behind \Q */
	bool caseless, extended, extended_more; /* the options i, x, xx */
};

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
