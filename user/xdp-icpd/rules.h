/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The handlers of rules-list, rules-add, rules-del and rules-load (control/server.h). */
#ifndef XDP_ICP_COMMAND_RULES_H
#define XDP_ICP_COMMAND_RULES_H

#include "control/server.h"
#include "xdp-icpd/daemon.h"

json_t *command_rules_list(struct daemon *daemon, const json_t *request,
			   const struct control_peer *peer);
json_t *command_rules_add(struct daemon *daemon, const json_t *request,
			  const struct control_peer *peer);
json_t *command_rules_del(struct daemon *daemon, const json_t *request,
			  const struct control_peer *peer);
json_t *command_rules_load(struct daemon *daemon, const json_t *request,
			   const struct control_peer *peer);

#endif
