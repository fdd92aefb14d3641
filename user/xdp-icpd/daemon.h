/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon: what it holds while it runs, and what it can be told to do. */
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
	struct config *config; /* as last read; what needs a restart, as started */
	struct chain *chain;
	struct pin_dir *pin_dir;				  /* NULL: none was found or made */
	struct kernel *kernel;					  /* NULL: userspace alone */
	bool kernel_has_chain;					  /* this daemon's */
	char userspace_reason[sizeof(((struct error *)0)->text)]; /* why no kernel */
	struct rules *rules;
	struct responder responder;
	struct trace_log *trace_log; /* of what is answered here */
	struct tracing *tracing;     /* NULL: nobody does (daemon_trace.h) */
	struct listener **listeners; /* one for each of config->listen */
	struct workers *workers;     /* NULL: the main thread answers */
	struct control *control;
	struct changes *changes; /* of the chain (daemon_changes.h) */
	struct event_base *base;
	struct event *signals[3];
	struct event *network;
	struct event *second;
	struct event *heartbeat;
	bool remembers;			  /* decisions, for the chain that the kernel knows */
	uint32_t horizon;		  /* rank; of what the kernel was told last */
	_Atomic time_t remembering_since; /* second of the monotonic clock */
	atomic_uint remembered;		  /* decisions in that second */
	int network_fd;
	size_t attached; /* interfaces that carry the program, when last looked at */
	unsigned int attached_to[DAEMON_INTERFACES_MAX];
	struct timespec started;
	unsigned long reloads;
	bool ending; /* drains before the end */
};

/*
 * Starts all that the configuration asks for (daemon_start.c). Started as root it becomes `user`
 * for good before it reads what this user may write, and a child loads the program. -1 and `error`
 * if it cannot, with everything that was begun taken back.
 */
int daemon_start(struct daemon *daemon, const char *config_path, struct error *error);

/*
 * Its last step: answers by the chain that is there, and has the kernel do so. -1 and `error`:
 * daemon_stop() takes back what was begun.
 */
int daemon_begin(struct daemon *daemon, const struct compiled *compiled, struct error *error);

/* Answers until a signal says to end. */
void daemon_run(struct daemon *daemon);

/*
 * Ends: from now on the kernel answers by rules alone, what has come in is answered, then
 * everything is closed. The program and its maps stay where they are.
 */
void daemon_stop(struct daemon *daemon);

/*
 * Gives every query the verdict `drain`, or no answer (DRAIN_SILENCE), until it is 0 again. -1 and
 * `error`: nothing is changed.
 */
int daemon_drain(struct daemon *daemon, uint32_t drain, struct error *error);

/* Brings the kernel's map of destinations in line with interfaces and addresses. */
void daemon_follow_network(struct daemon *daemon);

/* Does so whenever they change. -1 and `error`; daemon_unwatch_network() in either case. */
int daemon_watch_network(struct daemon *daemon, struct error *error);
void daemon_unwatch_network(struct daemon *daemon);

/*
 * No worker answers between the two: for changes to what they answer by. What was changed in
 * daemon->responder is theirs afterwards, and nothing goes out any more that was decided before.
 */
void daemon_pause(struct daemon *daemon);
void daemon_resume(struct daemon *daemon);

/* Adds what the daemon's own threads have counted to `counters`. */
void daemon_counters(struct daemon *daemon, uint64_t counters[ICP_COUNTER_MAX]);

/* The interfaces that the program was attached to; at most `max`, returns how many. */
size_t daemon_interfaces(const struct daemon *daemon, struct kernel_interface *interfaces,
			 size_t max);

/* "native" if one interface at least is, "generic" if one at least carries it, "userspace". */
const char *daemon_mode(const struct daemon *daemon);

#endif
