/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sets of prefixes (lib/byteset.h) that are made of lists of texts (policy/list.h). */
#ifndef XDP_ICP_LISTED_SET_H
#define XDP_ICP_LISTED_SET_H

#include "lib/byteset.h"
#include "policy/list.h"

/*
 * Finishes a set whose members were appended with the tags of the list's entries. `what` is what
 * an entry is called. -1 with an error: one of them has two verdicts, or out of memory.
 */
int listed_set_finish(struct byteset *set, const struct text_list *list, const char *what,
		      struct error *error);

#endif
