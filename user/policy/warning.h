/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rate-limited warnings about a policy, which queries could otherwise cause by the thousand. */
#ifndef XDP_ICP_POLICY_WARNING_H
#define XDP_ICP_POLICY_WARNING_H

#include <time.h>

#include "policy/policy.h"

#define POLICY_WARNING_PAUSE 10 /* seconds between two warnings */

/* Rate limit of a policy; initially zero. */
struct policy_warning {
	time_t next; /* earliest time of the next, CLOCK_MONOTONIC */
	unsigned long suppressed;
};

/* Log a warning that names the policy, or count it as suppressed for the next one. */
void policy_warn(struct policy_warning *warning, const struct policy *policy, const char *format,
		 ...) __attribute__((format(printf, 3, 4)));

#endif
