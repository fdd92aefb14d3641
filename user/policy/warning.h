/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rate-limited warnings about a policy, which queries could otherwise cause by the thousand. */
#ifndef XDP_ICP_POLICY_WARNING_H
#define XDP_ICP_POLICY_WARNING_H

#include "lib/log.h"
#include "policy/policy.h"

/* The warnings about a policy. Initially zero. */
struct policy_warnings {
	struct log_limit limit;
	time_t time; /* of the last one, seconds since 1970; 0: there was none */
	char text[160];
};

/* Append the last warning to the reasons of a state. */
void policy_warnings_tell(const struct policy_warnings *warnings, struct policy_state *state);

/* Log a warning that names the policy, or count it as suppressed for the next one. */
void policy_warn(struct policy_warnings *warnings, const struct policy *policy, const char *format,
		 ...) __attribute__((format(printf, 3, 4)));

#endif
