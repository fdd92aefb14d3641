/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The page that shows the state of the daemon in a browser (page.html). */
#ifndef XDP_ICP_DAEMON_PAGE_H
#define XDP_ICP_DAEMON_PAGE_H

#include "control/server.h"

/* The handler of GET /. */
void get_page(void *context, struct control_request *request);

#endif
