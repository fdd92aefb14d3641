/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Policies of the kind recent: the resource with their keys, and the kernel's copy of these. */
#ifndef XDP_ICP_DAEMON_RECENT_H
#define XDP_ICP_DAEMON_RECENT_H

#include "control/server.h"
#include "xdp-icpd/daemon.h"

/* Members of struct control_resource. */
void get_recent(void *context, struct control_request *request);
void post_recent(void *context, struct control_request *request);
void delete_recent(void *context, struct control_request *request);

/* Complete the kernel's copy in the background. Return 0, or -1 and `error`. */
int daemon_start_recents(struct daemon *daemon, struct error *error);

/* Continue that at once, after a switch of chains. Does nothing if it was not started. */
void daemon_copy_recents(struct daemon *daemon);

#endif
