/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A set of byte strings, each with a verdict, that finds the longest member a text begins with.
 *
 * Members lie sorted by their bytes, each with the number of its parent: the longest other member
 * that is a prefix of it. The member that is found by binary search as the last not behind the
 * text has all members that are prefixes of the text among itself and its ancestors. A member
 * costs 16 bytes and its text.
 *
 * First members are appended (byteset_append), then the set is finished, and from then on
 * looked at (byteset_longest, byteset_get) and changed one by one (byteset_put,
 * byteset_remove).
 */
#ifndef XDP_ICP_BYTESET_H
#define XDP_ICP_BYTESET_H

#include <stdbool.h>
#include <stddef.h>

#include "icp.h"

#define BYTESET_TEXT_MAX 65535u /* bytes of a member */

struct byteset;

struct byteset_member {
	const char *text; /* valid until the set is changed; no NUL follows */
	size_t length;	  /* bytes, 0 to BYTESET_TEXT_MAX; a NUL may be among them */
	enum icp_opcode verdict;
};

/* Two members with the same text and different verdicts, by the tags that they were given. */
struct byteset_conflict {
	unsigned int first_tag;
	unsigned int second_tag; /* of the one that was appended later */
};

/* An empty set, not finished. NULL: out of memory. */
struct byteset *byteset_new(void);

/* `set` may be NULL. */
void byteset_free(struct byteset *set);

/*
 * Appends a member to a set that is not finished. `tag` is the caller's, for
 * byteset_finish(). -1: out of memory, too long, or 2^32 - 1 members.
 */
int byteset_append(struct byteset *set, const char *text, size_t length, enum icp_opcode verdict,
		   unsigned int tag);

/*
 * Sorts the members and makes the set ready for use. Members that were appended twice with the
 * same verdict stand in it once. 1: one has two verdicts, `*conflict` says which. -1: out of memory.
 * The set can only be freed then.
 */
int byteset_finish(struct byteset *set, struct byteset_conflict *conflict);

/* The number of members. */
size_t byteset_count(const struct byteset *set);

/* The member of a number from 0 to byteset_count() - 1, in the order of their bytes. */
struct byteset_member byteset_get(const struct byteset *set, size_t number);

/* The longest member that the text begins with. False: there is none. */
bool byteset_longest(const struct byteset *set, const char *text, size_t length,
		     struct byteset_member *member);

/*
 * Puts a member into a finished set, or gives it another verdict. Takes time in proportion to
 * the size of the set. -1: out of memory, or too long.
 */
int byteset_put(struct byteset *set, const char *text, size_t length, enum icp_opcode verdict);

/* Takes a member out of a finished set, in the same time. False: it was not there. */
bool byteset_remove(struct byteset *set, const char *text, size_t length);

/* The order of members: by unsigned bytes, a prefix before what it is a prefix of. */
int byteset_compare(const char *a, size_t a_length, const char *b, size_t b_length);

#endif
