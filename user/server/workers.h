/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that reply, each with its own socket per address. The main thread changes the rules and
 * chain that they use, and replies to what must not be decided in another thread.
 */
#ifndef XDP_ICP_WORKERS_H
#define XDP_ICP_WORKERS_H

#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "lib/error.h"
#include "server/listener.h"
#include "server/responder.h"

struct workers;

/* Return the number of threads for a setting; 0: one per CPU, at most 8. */
unsigned int workers_wanted(unsigned int setting);

/*
 * Open the sockets of `count` workers, at least 2, beside `primaries`, the `listen_count` listeners
 * of the main thread, which must outlive the result. Return NULL and `error` on failure.
 */
struct workers *workers_open(struct listener **primaries, size_t listen_count, unsigned int count,
			     struct error *error);

/*
 * Start the threads. They reply as `responder`, that of the main thread, which handles in `base`
 * what they leave to it. Return 0, or -1 and `error`.
 */
int workers_start(struct workers *workers, struct event_base *base, struct responder *responder,
		  struct error *error);

/*
 * Pause and resume the workers. In between no worker replies, and every reply decided before has
 * been sent. Afterwards the workers use the state that the main thread's responder has at
 * workers_resume().
 */
void workers_pause(struct workers *workers);
void workers_resume(struct workers *workers);

/*
 * Renew the workers' lease on the gates, for `lease` milliseconds. Called by the main thread when
 * they are up to date; once the lease has expired the workers leave gates to the main thread, which
 * may be blocked.
 */
void workers_renew_lease(struct workers *workers, unsigned int lease);

/* Add the counters of the workers, including all replies sent so far. */
void workers_counters(struct workers *workers, uint64_t counters[ICP_COUNTER_MAX]);

/* Likewise their latencies. */
void workers_latency(struct workers *workers, struct latency *latency);

/* Reply to everything received so far, and end the threads. */
void workers_end(struct workers *workers);

/* Close the sockets. The threads must have ended. `workers` may be NULL. */
void workers_free(struct workers *workers);

#endif
