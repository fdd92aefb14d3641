/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /v1/check: the reply that a query would get now, why, and from whom. No query is sent or counted. */
#ifndef XDP_ICP_COMMAND_CHECK_H
#define XDP_ICP_COMMAND_CHECK_H

#include "control/server.h"
#include "xdp-icpd/daemon.h"

#define CHECK_URLS_MAX 4096 /* per request */

/*
 * Reply to a request once the URLs of `body` (xdp-icpd(8), POST /v1/check) have been checked.
 * `running`, if not NULL, is incremented until then; it must outlive the event loop.
 */
void check_begin(struct daemon *daemon, struct control_request *request, const json_t *body,
		 unsigned int *running);

/* A handler (control/server.h), with the struct daemon as context. */
void post_check(void *context, struct control_request *request);

#endif
