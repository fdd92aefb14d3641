/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A list of rules, to be loaded or as found. */
#ifndef XDP_ICP_RULE_LIST_H
#define XDP_ICP_RULE_LIST_H

#include <stddef.h>

#include "icp.h"

struct rule_line {
	char *prefix; /* `length` arbitrary bytes, and a NUL */
	size_t length;
	enum icp_opcode verdict; /* any number, if read from a map */
	size_t line;		 /* from 1; 0: not from a file */
};

/* Zero-initialised. */
struct rule_list {
	struct rule_line *rules;
	size_t count;
};

/* Append a copy. Return 0, or -1 without memory. */
int rule_list_add(struct rule_list *list, const char *prefix, size_t length,
		  enum icp_opcode verdict, size_t line);

/* Sort by the bytes of the prefixes, then by line. */
void rule_list_sort(struct rule_list *list);

/* Compare the prefixes of two rules, in that order. */
int rule_compare(const struct rule_line *a, const struct rule_line *b);

void rule_list_free(struct rule_list *list);

#endif
