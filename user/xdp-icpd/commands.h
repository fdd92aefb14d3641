/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The resources of the control socket. */
#ifndef XDP_ICP_COMMANDS_H
#define XDP_ICP_COMMANDS_H

#include "control/server.h"
#include "xdp-icpd/daemon.h"

/* For control_open(), with the struct daemon as context. */
extern const struct control_resource daemon_resources[];

/* Return the state of the daemon, without its counters and the number of rules: a new reference. */
json_t *status_json(struct daemon *daemon);

/*
 * Add the counters in their groups: answered, passed, silent and failed. Return 0, or -1 if they cannot
 * be read.
 */
int add_counters(struct daemon *daemon, json_t *reply);

/* Return the first `most` policies and what else decides: a new reference. */
json_t *policies_json(struct daemon *daemon, size_t most);

/* Reply with a list of resources. */
void reply_with_index(struct control_request *request, const struct control_resource *resources);

#endif
