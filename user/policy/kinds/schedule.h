/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The insides of the kind schedule, for its tests. */
#ifndef XDP_ICP_POLICY_SCHEDULE_H
#define XDP_ICP_POLICY_SCHEDULE_H

#include <time.h>

#include "policy/policy.h"

/* Looks as if it were that time. */
void policy_schedule_update(const struct policy *policy, time_t now);

#endif
