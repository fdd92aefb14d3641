/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The handlers of /v1/rules (control/server.h), with the struct daemon as context. */
#ifndef XDP_ICP_COMMAND_RULES_H
#define XDP_ICP_COMMAND_RULES_H

#include "control/server.h"

void get_rules(void *context, struct control_request *request);
void post_rules(void *context, struct control_request *request);
void put_rules(void *context, struct control_request *request);
void delete_rule(void *context, struct control_request *request);

/* GET /v1/rules/change: the progress of a change of many rules. */
void get_rules_change(void *context, struct control_request *request);

struct daemon;

/* Before the end: complete a change that has begun to write, and refuse the others. */
void daemon_finish_rules(struct daemon *daemon);

#endif
