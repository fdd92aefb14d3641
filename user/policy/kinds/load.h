/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Internals of the kind load, for tests. */
#ifndef XDP_ICP_POLICY_LOAD_H
#define XDP_ICP_POLICY_LOAD_H

#include "policy/policy.h"

/* create() of the kind, with `proc` in place of /proc; it is not retained. */
int policy_load_create(struct policy *policy, const struct policy_spec *spec, const char *proc,
		       struct error *error);

/* Update the gate now, as the timer does. */
void policy_load_update(const struct policy *policy);

#endif
