/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The map of a cluster: its members, and the prefixes of URLs that are assigned. A map never changes
 * once it is made; a newer one takes its place. It is made from keys and values as etcd has them:
 *
 *	members/NAME	{"name": NAME, "weight": 100, "addresses": ["192.0.2.1:3130"], "version": "1.0"}
 *	drained/NAME	anything: the member takes part in no order
 *	assign/PREFIX	{"member": NAME} or {"verdict": "miss"}: whose the URLs below it are
 *
 * Only `weight` of a member, from 1 to 10000, must be there. A saved map is a text of lines in JSON: a
 * head, a line for each key, and a checksum.
 */
#ifndef XDP_ICP_CLUSTER_MEMBERSHIP_H
#define XDP_ICP_CLUSTER_MEMBERSHIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "cluster/assignments.h"
#include "icp.h"
#include "lib/error.h"

/* Bounds; what exceeds them is refused. */
#define MEMBERSHIP_NAME_MAX 64u	      /* bytes of [A-Za-z0-9._-], at least 1 */
#define MEMBERSHIP_WEIGHT_MAX 10000u  /* at least 1 */
#define MEMBERSHIP_PREFIX_MAX 1024u   /* bytes, at least 1, without white space and NUL */
#define MEMBERSHIP_VALUE_MAX 4096u    /* bytes of a value */
#define MEMBERSHIP_NOTE_MAX 512u      /* bytes of a member's version, and of its addresses */
#define MEMBERSHIP_MEMBERS_MAX 10000u /* and as many names that are drained */
#define MEMBERSHIP_ASSIGNMENTS_MAX 2000000u
#define MEMBERSHIP_TEXT_MAX (256u << 20) /* bytes of all texts */

struct cluster_member {
	const char *name;
	unsigned int weight;
	bool drained;	       /* it stays in the list, but is in no order, not even in its own */
	const char *version;   /* an empty text: unknown */
	const char *addresses; /* separated by ", "; likewise */
};

struct membership {
	const char *cluster; /* name: seeds the order */
	const char *self;    /* name of this member, which may not be in the list */
	uint64_t revision;   /* etcd's */
	time_t as_of;	     /* when etcd sent it; later confirmations are not recorded here */
	bool isolated;	     /* this member must not call anything its own */
	bool leased;	     /* nor when its daemon's lease in the kernel has expired */
	size_t member_count;
	struct cluster_member *members; /* sorted by name, each once */
	size_t drained_count;
	const char **drained; /* names, maybe of no member; sorted, each once */
	struct assignments assignments;
	size_t text_size; /* bytes of all texts */
};

/* Add a reference, in any thread. Returns its argument. */
const struct membership *membership_ref(const struct membership *map);

/* Drop a reference, in any thread; the last one frees. NULL is ignored. */
void membership_unref(const struct membership *map);

/* Return a member, or NULL. */
const struct cluster_member *membership_member(const struct membership *map, const char *name);

/* Are all members, prefixes and drained names the same in both? */
bool membership_is_same(const struct membership *a, const struct membership *b);

/* Is it a valid name of a member or a cluster? */
bool membership_is_name(const char *name, size_t length);

/* Is it the name of a member, and not also that of a verdict, to which a prefix could be assigned? */
bool membership_is_member_name(const char *name, size_t length);

/*
 * Check that a prefix can be assigned. -1 with an error: empty, too long, with white space or a
 * NUL.
 */
int membership_check_prefix(const char *prefix, size_t length, struct error *error);

/* --- making the next map */

struct membership_changes;

/*
 * Begin a list of changes. `whole`: they make up the whole map, else they change a former one.
 * NULL: out of memory.
 */
struct membership_changes *membership_changes_new(bool whole);
void membership_changes_free(struct membership_changes *changes); /* NULL is ignored */

/* The number of changes so far. */
size_t membership_changes_count(const struct membership_changes *changes);

/* Has adding one of them failed, for lack of room or memory? No map can be made of them. */
bool membership_changes_lack(const struct membership_changes *changes);

/*
 * Note a key that was set or, with `value` NULL, deleted. Neither needs a NUL at its end. -1 with an
 * error that does not name the key: the value is invalid; such a key keeps its meaning in the
 * former map, if any. Also -1 if memory is exhausted or a bound is exceeded; then no map can be
 * made of the changes.
 */
int membership_changes_add(struct membership_changes *changes, const char *key, size_t key_length,
			   const char *value, size_t value_length, struct error *error);

/* Likewise a key that was set, with its value as it was parsed (NULL: it is no JSON). */
struct json_t;
int membership_changes_add_json(struct membership_changes *changes, const char *key,
				size_t key_length, const struct json_t *value, struct error *error);

/* What a map has besides its keys; the texts are copied. */
struct membership_head {
	const char *cluster, *self;
	uint64_t revision;
	time_t as_of;
	bool isolated, leased;
};

/*
 * Make the next map of a former one (NULL: none) and changes (NULL: none), of which the last counts for
 * each key. What they do not change of the assignments is shared. Returns a reference. NULL with an
 * error: out of memory, or a bound is exceeded.
 */
const struct membership *membership_make(const struct membership *former,
					 struct membership_changes *changes,
					 const struct membership_head *head, struct error *error);

/* --- as text */

/* Write a member's value, or that of an assignment: JSON, to be freed. NULL: out of memory. */
char *membership_member_value(const struct cluster_member *member);
char *membership_assignment_value(const struct cluster_assignment *assignment);

/*
 * Write a map, and the lease of this member. -1 with errno: writing failed, or memory is exhausted. The
 * caller flushes.
 */
int membership_write(const struct membership *map, uint64_t lease, FILE *file);

/*
 * Read a map that was written. The head is `now`, except for the revision and the time, which are
 * the file's; the lease is the file's if it is of the same member, else 0. Returns a reference.
 * NULL with an error: it is of another cluster, damaged, or exceeds a bound.
 */
const struct membership *membership_read(FILE *file, const struct membership_head *now,
					 uint64_t *lease, struct error *error);

#endif
