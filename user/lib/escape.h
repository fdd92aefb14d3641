/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Printable text of any bytes, for terminals, logs and JSON. A byte that is not printable ASCII (20
 * to 7e) becomes \xHH with two lower-case hexadecimal digits, a backslash becomes \\, all others
 * are kept. unescape() restores what escape() was given byte for byte.
 */
#ifndef XDP_ICP_ESCAPE_H
#define XDP_ICP_ESCAPE_H

#include <stddef.h>

#define ESCAPE_MAX 4u /* characters for one byte, at most */

/* Escape one byte and add a NUL. Returns the number of characters without the NUL, 1 to 4. */
size_t escape_byte(unsigned char byte, char text[ESCAPE_MAX + 1]);

/* Return the text of `length` bytes, to be freed by the caller. NULL: out of memory. */
char *escape(const void *bytes, size_t length);

/*
 * Make text printable as one line of a log or a terminal. Parts of it may be escaped already, so
 * backslashes are kept; all else is escaped. Writes at most `size` bytes with the NUL and never
 * part of an escape. Returns the number of characters without the NUL.
 */
size_t escape_line(const char *text, char *line, size_t size);

/*
 * Return the bytes that `size` characters of text encode, to be freed by the caller, with a NUL
 * added that `*length` does not count. NULL: out of memory. Never more bytes than characters.
 *
 * No text is invalid: a backslash that begins neither \\ nor \xHH is kept, and so are bytes that
 * escape() would have escaped. Hexadecimal digits may be of either case.
 */
char *unescape(const char *text, size_t size, size_t *length);

#endif
