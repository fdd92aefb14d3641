/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands of the control socket. */
#ifndef XDP_ICP_COMMANDS_H
#define XDP_ICP_COMMANDS_H

#include <jansson.h>

#include "control/server.h"

/* The request handler (control/server.h); `context` is the struct daemon. */
json_t *commands_handle(void *context, const json_t *request, const struct control_peer *peer);

#endif
