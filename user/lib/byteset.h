/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A set of byte strings, each with a verdict, with a lookup of the longest member that is a prefix
 * of a text.
 *
 * Members are sorted by their bytes. Each has the index of its parent, the longest other member
 * that is a prefix of it. A lookup finds the last member that is not greater than the text by
 * binary search: all members that are prefixes of the text are that member or its ancestors. A
 * member takes 16 bytes and its text.
 *
 * First append members (byteset_append), then call byteset_finish(), then look members up
 * (byteset_longest, byteset_get) or change single ones (byteset_put, byteset_remove).
 */
#ifndef XDP_ICP_BYTESET_H
#define XDP_ICP_BYTESET_H

#include <stdbool.h>
#include <stddef.h>

#include "icp.h"

#define BYTESET_TEXT_MAX 65535u /* bytes of a member */

struct byteset;

struct byteset_member {
	const char *text; /* valid until the set is changed; not NUL-terminated */
	size_t length;	  /* bytes, 0 to BYTESET_TEXT_MAX; may contain NULs */
	enum icp_opcode verdict;
	int cost; /* 0 to 65535, or ICP_NO_COST */
};

/* The tags of two members with the same text and different verdicts. */
struct byteset_conflict {
	unsigned int first_tag;
	unsigned int second_tag; /* appended later */
};

/* Return an empty set. NULL: out of memory. */
struct byteset *byteset_new(void);

/* NULL is ignored. */
void byteset_free(struct byteset *set);

/*
 * Make the set refer to the texts of its members, which must outlive it unchanged, instead of
 * copying them. Call it before the first member is appended; byteset_put() and byteset_remove()
 * must not be used then.
 */
void byteset_lend(struct byteset *set);

/*
 * Append a member before byteset_finish(), which reports `tag` on a conflict. -1: out of memory,
 * text too long, or 2^32 - 1 members.
 */
int byteset_append(struct byteset *set, const char *text, size_t length, enum icp_opcode verdict,
		   unsigned int tag);

/*
 * Sort the members and prepare the set for lookups. Duplicates with the same verdict are merged.
 * 1: a member has two verdicts, see `*conflict`; -1: out of memory. Then the set can only be freed.
 */
int byteset_finish(struct byteset *set, struct byteset_conflict *conflict);

/* Return the number of members. */
size_t byteset_count(const struct byteset *set);

/* Return the member with an index from 0 to byteset_count() - 1, in the order of their bytes. */
struct byteset_member byteset_get(const struct byteset *set, size_t index);

/* Change the verdict and cost of the member with this index. */
void byteset_set(struct byteset *set, size_t index, enum icp_opcode verdict, int cost);

/* Find the longest member that is a prefix of the text. False: there is none. */
bool byteset_longest(const struct byteset *set, const char *text, size_t length,
		     struct byteset_member *member);

/*
 * Insert a member into a finished set, or change its verdict. Takes time proportional to the size
 * of the set. -1: out of memory, or text too long.
 */
int byteset_put(struct byteset *set, const char *text, size_t length, enum icp_opcode verdict);

/* Likewise remove a member. False: there is none. */
bool byteset_remove(struct byteset *set, const char *text, size_t length);

/* Compare as memcmp() does, in the order of members: by unsigned bytes, a prefix first. */
int byteset_compare(const char *a, size_t a_length, const char *b, size_t b_length);

#endif
