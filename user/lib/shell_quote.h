/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Quoting for command lines that are printed to be pasted into a shell. */
#ifndef XDP_ICP_SHELL_QUOTE_H
#define XDP_ICP_SHELL_QUOTE_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes that a quoted word of `length` bytes and its NUL take at most. */
#define SHELL_QUOTE_SIZE(length) (4 * (length) + 3)

/* Is this an ASCII character without a meaning for shells and terminals? */
bool shell_is_plain(char c);

/*
 * Quote a word for a POSIX shell: unchanged if all of it is plain, else in single quotes. Returns
 * `text`, which has room for SHELL_QUOTE_SIZE(strlen(word)) bytes.
 */
char *shell_quote(const char *word, char *text);

#endif
