/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon: its state, and the operations on it. */
#ifndef XDP_ICP_DAEMON_H
#define XDP_ICP_DAEMON_H

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <time.h>

#include <event2/event.h>

#include "chain/chain.h"
#include "config/config.h"
#include "control/server.h"
#include "lib/error.h"
#include "server/server.h"
#include "xdp-icpd/kernel_tallies.h"
#include "xdp-icpd/memory.h"
#include "xdp-icpd/public.h"
#include "xdp-icpd/xdp.h"

/* The first policy that the kernel cannot evaluate. */
struct horizon {
	__u32 rank; /* RANK_NONE: there is none */
	struct error reason;
	bool lacks_room; /* as in struct compiled */
};

TAILQ_HEAD(rules_jobs, rules_job);
SLIST_HEAD(running_clusters, running);

struct daemon {
	const char *config_path;
	struct config *config; /* as last read, except for options that need a restart */
	struct event_base *base;
	struct chain *chain;
	struct horizon horizon; /* of that chain */
	struct server server;
	struct xdp xdp;
	struct memory memory;
	struct kernel_tallies *kernel_tallies; /* NULL: userspace alone */
	struct control *control;
	struct control *metrics; /* the same on TCP, for reading; NULL: not configured */
	struct metrics_text {
		char *text; /* NULL: not written yet */
		size_t length;
		uint64_t written; /* nanoseconds of the monotonic clock */
	} metrics_texts[2];	  /* of the two formats (metrics.c) */
	struct public_view public_view;
	struct census *census;		  /* NULL: nothing has been counted yet (census.c) */
	struct tracing *tracing;	  /* NULL: not in use (trace.c) */
	struct changes *changes;	  /* of the chain (reload.c) */
	struct running_clusters clusters; /* (clusters.c) */
	struct rules_jobs rule_changes;	  /* the first one is being made (rules.c) */
	unsigned int checks_pending;	  /* URLs of all checks that wait for policies (check.c) */
	struct event *heartbeat;
	struct event *recents;	 /* NULL: userspace alone (recent.c) */
	struct event *log_later; /* NULL: not needed yet (states.c) */
	struct event *watchdog;	 /* NULL: the service manager waits for no messages */
	struct event *signals[3];
	uint64_t started;	  /* nanoseconds of the monotonic clock */
	double started_at;	  /* the same in seconds since 1970 */
	unsigned long generation; /* chains since the start, of the one in use */
	unsigned long reloads;
	time_t last_reload;		/* seconds since 1970; 0: there was none */
	struct error last_reload_error; /* an empty text: it succeeded */
	bool ending;			/* draining before exit */
	uint32_t saved_drain;		/* what a restart begins with (saved_drain.h) */
};

/*
 * Start everything that is configured (startup.c). As root, fork a child that loads the program,
 * and become `user` permanently before reading anything that `user` may write. Return 0, or -1 and
 * `error` with everything undone.
 */
int daemon_start(struct daemon *daemon, const char *config_path, struct error *error);

/*
 * As root, become a user permanently, with the environment that the configuration names. Return 0,
 * or -1 and `error`.
 */
int daemon_become(const struct config *config, const char *config_path, uid_t uid, gid_t gid,
		  struct error *error);

/*
 * Return the number of lines that the chain may take in the kernel's maps, which have room for
 * `lines` (0: not known yet). Assignments by other members of a cluster must not keep this daemon
 * from starting, or from applying other changes.
 */
size_t daemon_room_max(const struct config *config, size_t lines);

/* Return 0 if the kernel's maps will hold the chain, else -1 and `error`. */
int daemon_check_room(const struct config *config, const struct compiled *compiled,
		      struct error *error);

/* Block (SIG_BLOCK) or unblock SIGHUP, which would end the process during the start. */
void daemon_hold_hang_up(int how);

/*
 * The last step of daemon_start(): reply by daemon->chain, in the kernel too. Return 0, or -1 and
 * `error`; daemon_stop() then undoes what was done.
 */
int daemon_begin(struct daemon *daemon, const struct compiled *compiled, struct error *error);

/* Run the event loop until a signal ends it, and notify the service manager (notify.h). */
void daemon_run(struct daemon *daemon);

/*
 * Shut down: switch the kernel to rules only, unless it is to keep the chain, reply to what has
 * been received, and close everything. The program and its maps stay.
 */
void daemon_stop(struct daemon *daemon);

/* Return the number of the chain. The kernel's count outlives the daemon. */
unsigned long daemon_generation(const struct daemon *daemon);

#endif
