/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A drain: every query gets the same verdict, or none, before rules and policies. */
#ifndef XDP_ICP_DAEMON_DRAIN_H
#define XDP_ICP_DAEMON_DRAIN_H

#include "xdp-icpd/daemon.h"

/*
 * Reply `drain` to every query, or not at all (DRAIN_SILENCE), until it is 0 again. Return 0, or -1
 * and `error` with nothing changed.
 */
int daemon_drain(struct daemon *daemon, uint32_t drain, struct error *error);

/* Likewise, and keep that for restarts. 0 ends what was kept as well. */
int daemon_save_drain(struct daemon *daemon, uint32_t drain, struct error *error);

/* Before the first reply: begin with what was kept (daemon->saved_drain). */
void daemon_begin_drain(struct daemon *daemon);

/*
 * At the exit: the kernel continues a drain that is kept for the next start. Any other drain ends,
 * because it could not be ended without a daemon.
 */
void daemon_leave_drain(struct daemon *daemon);

#endif
