/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes as printable text. A URL is made of any bytes, what people read and JSON carries is not:
 * a byte that is not printable ASCII (20 to 7e) is written \xHH with two small hexadecimal digits,
 * the backslash \\, all others stand for themselves. Whatever has been escaped comes back byte for
 * byte.
 */
#ifndef XDP_ICP_ESCAPE_H
#define XDP_ICP_ESCAPE_H

#include <stddef.h>

#define ESCAPE_MAX 4u /* characters that a byte may become */

/* Writes a byte as text, with a NUL behind it. Returns the characters before the NUL, 1 to 4. */
size_t escape_byte(unsigned char byte, char text[ESCAPE_MAX + 1]);

/* `length` bytes as text, for free(). NULL: no memory. */
char *escape(const void *bytes, size_t length);

/*
 * Text for one line of a log or a terminal, part of which may be escaped already: a backslash stands
 * for itself, everything else is as escape() has it. Writes at most `size` bytes with the NUL, and
 * never half an escape; returns the characters before the NUL.
 */
size_t escape_line(const char *text, char *line, size_t size);

/*
 * The bytes that `size` characters of text stand for, for free(), with a NUL behind them that
 * `*length` does not count. NULL: no memory. Never more bytes than characters.
 *
 * No text is wrong: a backslash that begins neither \\ nor \xHH stands for itself, and so do bytes
 * that escape() would have written otherwise. Hexadecimal digits may be large or small.
 */
char *unescape(const char *text, size_t size, size_t *length);

#endif
