/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * icpctl trace: what the kernel and the daemon do with queries, streamed to clients of the control
 * socket. Without clients nothing is recorded.
 */
#ifndef XDP_ICP_DAEMON_TRACE_H
#define XDP_ICP_DAEMON_TRACE_H

#include "control/server.h"
#include "xdp-icpd/daemon.h"

/*
 * The handler of /v1/trace (control/server.h), with the struct daemon as context: begin, and
 * continue until the peer disconnects.
 */
void get_trace(void *context, struct control_request *request);

/* Return the number of clients. */
size_t daemon_tracers(const struct daemon *daemon);

/*
 * Send everything recorded so far. Called before the chain changes, whose policies name the
 * deciders.
 */
void daemon_trace_flush(struct daemon *daemon);

/* Disconnect all clients and stop recording. */
void daemon_trace_end(struct daemon *daemon);

#endif
