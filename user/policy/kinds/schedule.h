/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Internals of the kind schedule, for tests. */
#ifndef XDP_ICP_POLICY_SCHEDULE_H
#define XDP_ICP_POLICY_SCHEDULE_H

#include <time.h>

#include "policy/policy.h"

/* Update the gate as at the time `now`. */
void policy_schedule_update(const struct policy *policy, time_t now);

#endif
