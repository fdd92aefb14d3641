/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that answer, each on sockets of its own for all addresses. The main thread changes what
 * they answer by, and answers itself what must not be decided in any other thread.
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

/* The threads that a setting asks for; 0 stands for one a CPU, at most 8. */
unsigned int workers_wanted(unsigned int setting);

/*
 * Binds what `count` workers, 2 at least, need besides `firsts`, the main thread's listeners, of
 * which there are `listen_count`. They have to live as long. NULL and `error` if it fails.
 */
struct workers *workers_open(struct listener **firsts, size_t listen_count, unsigned int count,
			     struct error *error);

/*
 * Starts the threads, which answer as `responder` does, the main thread's, where that answers what
 * they leave to it while `base` runs. Returns 0, or -1 and `error`.
 */
int workers_start(struct workers *workers, struct event_base *base, struct responder *responder,
		  struct error *error);

/*
 * From the return of the one on no worker answers, and whatever one had decided is sent; after the
 * other they answer as the main thread's responder says then.
 */
void workers_pause(struct workers *workers);
void workers_resume(struct workers *workers);

/*
 * From the main thread: policies on the host's state are up to date. Workers ask them for `lease`
 * milliseconds from now on; then they leave them to the main thread, which may be held up.
 */
void workers_beat(struct workers *workers, unsigned int lease);

/* Adds what the workers have counted, all that they have sent among it. */
void workers_counters(struct workers *workers, uint64_t counters[ICP_COUNTER_MAX]);

/* Has everything answered that has come in until now, and ends the threads. */
void workers_end(struct workers *workers);

/* Closes the sockets. `workers` may be NULL; threads must have been ended. */
void workers_free(struct workers *workers);

#endif
