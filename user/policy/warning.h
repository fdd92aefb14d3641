/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Warnings about a policy, of which queries could otherwise make thousands a second. */
#ifndef XDP_ICP_POLICY_WARNING_H
#define XDP_ICP_POLICY_WARNING_H

#include <time.h>

#include "policy/policy.h"

#define POLICY_WARNING_PAUSE 10 /* seconds from one to the next */

/* Zero before the first. */
struct policy_warning {
	time_t next; /* of the monotonic clock; 0: none was given */
	unsigned long suppressed;
};

/* Logs a warning that names the policy, or counts it for the next. */
void policy_warn(struct policy_warning *warning, const struct policy *policy, const char *format,
		 ...) __attribute__((format(printf, 3, 4)));

#endif
