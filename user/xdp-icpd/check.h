/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command `check`: the reply that a query would get now, why, and from whom. No query is sent
 * or counted.
 */
#ifndef XDP_ICP_COMMAND_CHECK_H
#define XDP_ICP_COMMAND_CHECK_H

#include <jansson.h>

#include "control/server.h"
#include "xdp-icpd/daemon.h"

#define CHECK_URLS_MAX 4096 /* per request */

/* A request handler (control/server.h); the response is deferred. */
json_t *command_check(struct daemon *daemon, const json_t *request,
		      const struct control_peer *peer);

#endif
