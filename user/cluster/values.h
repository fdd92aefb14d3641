/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The values of a cluster's keys, as JSON; membership.h says what they mean. */
#ifndef XDP_ICP_CLUSTER_VALUES_H
#define XDP_ICP_CLUSTER_VALUES_H

#include <jansson.h>

#include "cluster/membership.h"

/* Return the value of a member, of an assignment. NULL: out of memory. */
json_t *value_of_member(const struct cluster_member *member);
json_t *value_of_assignment(const struct cluster_assignment *assignment);

/*
 * Read the value (NULL: it is no JSON) of the member with this name: weight, version and addresses, whose
 * texts are in the value and in `addresses`. -1 with an error: it is invalid.
 */
int value_read_member(const json_t *value, const char *name, size_t length,
		      struct cluster_member *member, char addresses[MEMBERSHIP_NOTE_MAX + 1],
		      struct error *error);

/* Likewise of an assignment: the member, whose name is in the value, or NULL and the verdict. */
int value_read_assignment(const json_t *value, struct cluster_assignment *assignment,
			  struct error *error);

#endif
