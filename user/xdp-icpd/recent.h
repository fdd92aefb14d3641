/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The resource of policies of the kind recent: their keys. */
#ifndef XDP_ICP_DAEMON_RECENT_H
#define XDP_ICP_DAEMON_RECENT_H

#include "control/server.h"

/* Members of struct control_resource. */
void get_recent(void *context, struct control_request *request);
void post_recent(void *context, struct control_request *request);
void delete_recent(void *context, struct control_request *request);

#endif
