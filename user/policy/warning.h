/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rate-limited warnings about a policy, which queries could otherwise cause by the thousand. */
#ifndef XDP_ICP_POLICY_WARNING_H
#define XDP_ICP_POLICY_WARNING_H

#include "lib/log.h"
#include "policy/policy.h"

/* Log a warning that names the policy, or count it as suppressed for the next one. */
void policy_warn(struct log_limit *limit, const struct policy *policy, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
