/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * icpctl trace: what the kernel and the daemon do with queries, told as it happens to those who
 * ask for it on the control socket. While nobody does, nothing is looked at.
 */
#ifndef XDP_ICP_DAEMON_TRACE_H
#define XDP_ICP_DAEMON_TRACE_H

#include <jansson.h>

#include "control/server.h"
#include "xdp-icpd/daemon.h"

/* A control_answer: begins, and goes on until the peer leaves. */
json_t *daemon_trace_answer(struct daemon *daemon, const json_t *request,
			    const struct control_peer *peer);

/* How many listen now. */
size_t daemon_tracers(const struct daemon *daemon);

/* Tells all that there is, as long as the policies of the chain can be named. */
void daemon_trace_flush(struct daemon *daemon);

/* Ends it for everybody. */
void daemon_trace_end(struct daemon *daemon);

#endif
