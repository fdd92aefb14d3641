/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rules as text, as `icpctl rules list` prints and `icpctl rules load` reads them: one a line, the
 * prefix as in escape.h, white space (a TAB, when printed), the verdict. Empty lines and lines that
 * begin with # are comments; a prefix that begins so is written \x23.
 */
#ifndef XDP_ICP_RULES_FILE_H
#define XDP_ICP_RULES_FILE_H

#include <stdio.h>

#include "lib/error.h"
#include "icp.h"

struct rule_line {
	char *prefix; /* `length` bytes of any value, and a NUL */
	size_t length;
	enum icp_opcode verdict; /* in a list that has been read from a map: any number */
	size_t line;		 /* from 1, 0 if from no file */
};

/* Begins as { 0 }. */
struct rule_list {
	struct rule_line *rules;
	size_t count;
};

/* Appends a copy. Returns 0, or -1 without memory. */
int rule_list_add(struct rule_list *list, const char *prefix, size_t length,
		  enum icp_opcode verdict, size_t line);

/* Sorts by the bytes of the prefixes, then by lines. */
void rule_list_sort(struct rule_list *list);

void rule_list_free(struct rule_list *list);

/* Can a rule's prefix have `length` bytes? 0, or -1 with an error: more than PREFIX_URL_MAX. */
int rule_length_check(size_t length, struct error *error);

/*
 * Is it sensible to put in a rule with this prefix? 0, or -1 with an error: too long, or with bytes
 * that no URL has that is looked up (white space, NUL).
 */
int rule_prefix_check(const char *prefix, size_t length, struct error *error);

/* The verdict of a name, or ICP_OP_INVALID with an error that tells the names there are. */
enum icp_opcode rule_verdict(const char *name, size_t length, struct error *error);

/*
 * Reads all rules of a file; `name` is for messages. The list is sorted then; a prefix that comes
 * again is a mistake if it has another verdict. Returns 0, or -1 with an error `NAME:LINE: ...` and
 * whatever had been read in the list; it is the caller's to free either way.
 */
int rules_file_read(FILE *in, const char *name, struct rule_list *list, struct error *error);

/* Prints the list. What has no verdict becomes a comment. */
void rules_file_print(FILE *out, const struct rule_list *list);

#endif
