/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How full the maps are. The rules, and the verdicts that the kernel remembers, can only be counted
 * by walking through them. A long walk is done in slices of the event loop, so the number may be
 * slightly out of date.
 */
#ifndef XDP_ICP_DAEMON_CENSUS_H
#define XDP_ICP_DAEMON_CENSUS_H

#include <stddef.h>

#include "xdp-icpd/daemon.h"

#define CENSUS_ROOMS (KERNEL_ROOMS + 2)

/*
 * Store how full the maps are, as far as it is known, and begin to count again what may have
 * changed; return the number of elements of `rooms` that are set. Without maps in the kernel, only
 * the daemon's own rules are reported. For the main thread.
 */
size_t census_rooms(struct daemon *daemon, struct kernel_room rooms[CENSUS_ROOMS]);

/* Return the number of rules as census_rooms() last knew it; -1: they are being counted. */
long long census_rules(const struct daemon *daemon);

/* End the walks. */
void census_end(struct daemon *daemon);

#endif
