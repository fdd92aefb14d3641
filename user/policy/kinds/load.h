/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The insides of the kind load, for its tests. */
#ifndef XDP_ICP_POLICY_LOAD_H
#define XDP_ICP_POLICY_LOAD_H

#include "policy/policy.h"

/* Member create of the kind, with another directory than /proc; it is not copied. */
int policy_load_create(struct policy *policy, const struct policy_spec *spec, const char *proc,
		       struct error *error);

/* Looks now, as the timer does. */
void policy_load_update(const struct policy *policy);

#endif
