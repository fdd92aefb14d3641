/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Words of command lines that are printed for people to paste into a shell. */
#ifndef XDP_ICP_SHELL_QUOTE_H
#define XDP_ICP_SHELL_QUOTE_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes that a quoted word of `length` bytes and its NUL need at most. */
#define SHELL_QUOTE_SIZE(length) (4 * (length) + 3)

/* Is this a character that no shell, and no terminal, gives a meaning to? ASCII only. */
bool shell_is_plain(char c);

/*
 * Writes `word` so that a POSIX shell takes it as one word of the same bytes: as it is if all of it
 * is plain, else in single quotes. Returns `text`, which has room for SHELL_QUOTE_SIZE(strlen(word))
 * bytes.
 */
char *shell_quote(const char *word, char *text);

#endif
