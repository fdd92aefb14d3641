/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The states of policies: what operators are told, and changes in the log. */
#ifndef XDP_ICP_DAEMON_STATES_H
#define XDP_ICP_DAEMON_STATES_H

#include <jansson.h>

#include "xdp-icpd/daemon.h"

/* Does a policy on the host's state match now? False of other policies. */
bool policy_matches(const struct policy *policy);

/* Return the state of a policy of the active chain, or null; a new reference. */
json_t *policy_state_json(const struct policy *policy);

/* Return the policies that observe or run something, with their states; a new reference. */
json_t *policy_states_json(const struct daemon *daemon);

/*
 * Log the state of a policy if it differs from the one that was last logged. The first state is
 * logged only if the policy is in trouble or matches. What changes too often is logged later.
 */
void daemon_log_state(struct daemon *daemon, struct policy *policy);

/* Likewise for all policies of the active chain. */
void daemon_log_states(struct daemon *daemon);

#endif
