/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rules as text, as printed by `icpctl rules list` and read by `icpctl rules load`: one per line,
 * the prefix as in escape.h, white space (printed: a TAB), the verdict. Empty lines and lines that
 * begin with # are comments; a prefix that begins with # is written \x23.
 */
#ifndef XDP_ICP_RULES_FILE_H
#define XDP_ICP_RULES_FILE_H

#include <stdio.h>

#include "lib/error.h"
#include "icp.h"
#include "server/rule_list.h"

/* Check the length of a prefix. Return 0, or -1 and `error` if it exceeds PREFIX_URL_MAX. */
int rule_length_check(size_t length, struct error *error);

/*
 * Check a prefix that is to be inserted. Return 0, or -1 and `error`: too long, or with bytes that
 * occur in no URL (white space, NUL).
 */
int rule_prefix_check(const char *prefix, size_t length, struct error *error);

/* Return the verdict of a name, or ICP_OP_INVALID and `error` with the valid names. */
enum icp_opcode rule_verdict(const char *name, size_t length, struct error *error);

/*
 * Read all rules of a file, and sort them; `name` is for messages. A repeated prefix with another
 * verdict is an error. Return 0, or -1 and an error `NAME:LINE: ...`; the caller frees the list in
 * either case.
 */
int rules_file_read(FILE *in, const char *name, struct rule_list *list, struct error *error);

/* Print the list. Entries without a valid verdict become comments. */
void rules_file_print(FILE *out, const struct rule_list *list);

#endif
