/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The resources of the control socket. */
#ifndef XDP_ICP_COMMANDS_H
#define XDP_ICP_COMMANDS_H

#include "control/server.h"

/* For control_open(), with the struct daemon as context. */
extern const struct control_resource daemon_resources[];

/* Likewise for control_open_tcp(): reading alone. */
extern const struct control_resource public_resources[];

#endif
