/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon: its state, and the operations on it. */
#ifndef XDP_ICP_DAEMON_H
#define XDP_ICP_DAEMON_H

#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include <event2/event.h>

#include "chain/chain.h"
#include "config/config.h"
#include "control/server.h"
#include "lib/error.h"
#include "xdp/kernel.h"
#include "server/listener.h"
#include "server/responder.h"
#include "server/rules.h"
#include "server/trace.h"
#include "server/workers.h"

#define COMMAND_LINE "command line" /* where policies of a running daemon come from */
#define DAEMON_INTERFACES_MAX 256

struct daemon {
	const char *config_path;
	struct config *config; /* as last read, except for options that need a restart */
	struct chain *chain;
	struct pin_dir *pin_dir; /* NULL: none */
	struct kernel *kernel;	 /* NULL: userspace alone */
	bool kernel_has_chain;	 /* its active chain is daemon->chain */
	char userspace_reason[sizeof(((struct error *)0)->text)]; /* why the kernel is not used */
	struct rules *rules;
	struct responder responder;
	struct trace_log *trace_log; /* of what the daemon handles itself */
	struct tracing *tracing;     /* NULL: not in use (trace.c) */
	struct listener **listeners; /* one for each of config->listen */
	struct workers *workers;     /* NULL: the main thread replies */
	struct control *control;
	struct changes *changes; /* of the chain (reload.c) */
	struct event_base *base;
	struct event *signals[3];
	struct event *network;
	struct event *second;
	struct event *heartbeat;
	bool remembers;			  /* decisions are stored in the kernel */
	uint32_t horizon;		  /* rank, of the kernel's chain */
	_Atomic time_t remembering_since; /* second of the monotonic clock */
	atomic_uint remembered;		  /* decisions in that second */
	int network_fd;
	size_t attached; /* interfaces with the program, as of the last check */
	unsigned int attached_to[DAEMON_INTERFACES_MAX];
	struct timespec started;
	unsigned long reloads;
	bool ending; /* draining before exit */
};

/*
 * Start everything that is configured (startup.c). As root, fork a child that loads the program,
 * and become `user` permanently before reading anything that `user` may write. Return 0, or -1 and
 * `error` with everything undone.
 */
int daemon_start(struct daemon *daemon, const char *config_path, struct error *error);

/*
 * The last step of daemon_start(): reply by daemon->chain, in the kernel too. Return 0, or -1 and
 * `error`; daemon_stop() then undoes what was done.
 */
int daemon_begin(struct daemon *daemon, const struct compiled *compiled, struct error *error);

/* Run the event loop until a signal ends it. */
void daemon_run(struct daemon *daemon);

/*
 * Shut down: the kernel replies by rules only, what has been received is replied to, and everything
 * is closed. The program and its maps stay.
 */
void daemon_stop(struct daemon *daemon);

/*
 * Reply `drain` to every query, or not at all (DRAIN_SILENCE), until it is 0 again. Return 0, or -1
 * and `error` with nothing changed.
 */
int daemon_drain(struct daemon *daemon, uint32_t drain, struct error *error);

/* Update the kernel's map of destinations to the current interfaces and addresses. */
void daemon_update_destinations(struct daemon *daemon);

/*
 * Do so on every change. Return 0, or -1 and `error`; call daemon_unwatch_network() in either case.
 */
int daemon_watch_network(struct daemon *daemon, struct error *error);
void daemon_unwatch_network(struct daemon *daemon);

/*
 * Pause and resume the workers, around changes to what they reply by. While they are paused, every
 * reply decided before has been sent; afterwards they use daemon->responder as it is then.
 */
void daemon_pause(struct daemon *daemon);
void daemon_resume(struct daemon *daemon);

/* Add the counters of all threads of the daemon to `counters`. */
void daemon_counters(struct daemon *daemon, uint64_t counters[ICP_COUNTER_MAX]);

/* Store the interfaces with a recorded attachment, at most `max`; return their number. */
size_t daemon_interfaces(const struct daemon *daemon, struct kernel_interface *interfaces,
			 size_t max);

/*
 * Return "native" if at least one interface is in native mode, else "generic" if at least one has
 * the program, else "userspace".
 */
const char *daemon_mode(const struct daemon *daemon);

#endif
