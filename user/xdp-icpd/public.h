/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the daemon serves on TCP: to every client that can connect, and for reading alone. */
#ifndef XDP_ICP_DAEMON_PUBLIC_H
#define XDP_ICP_DAEMON_PUBLIC_H

#include "control/server.h"

struct public_view;

/* For control_open_tcp(), with the struct daemon as context. */
extern const struct control_resource public_resources[];

/* Free what it keeps, once there are no requests any more. NULL is ignored. */
void public_free(struct public_view *view);

#endif
