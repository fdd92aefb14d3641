/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the daemon answers to icpctl: the commands of the control socket. */
#ifndef XDP_ICP_COMMANDS_H
#define XDP_ICP_COMMANDS_H

#include <jansson.h>

#include "control/server.h"

/* A control_answer (control.h); `context` is the struct daemon. */
json_t *commands_answer(void *context, const json_t *request, const struct control_peer *peer);

#endif
