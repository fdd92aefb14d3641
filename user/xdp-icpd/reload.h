/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changes of the chain while the daemon runs: reloads, the commands of icpctl policy, and other maps of
 * clusters. They are made one at a time, in the order of the requests, while the event loop continues.
 */
#ifndef XDP_ICP_DAEMON_RELOAD_H
#define XDP_ICP_DAEMON_RELOAD_H

#include <stdbool.h>

#include "xdp-icpd/daemon.h"
#include "lib/error.h"
#include "policy/spec.h"

#define CHANGES_MAX 16 /* waiting; more are refused */

struct change;

/* Initialise. Return 0, or -1 and `error`; call daemon_free_changes() in either case. */
int daemon_open_changes(struct daemon *daemon, struct error *error);

/*
 * Queue a reload: the configuration is read again and applied as a whole, or nothing changes; the
 * daemon notes and logs which. Return NULL and `error` if too many changes wait, the daemon ends, or memory is exhausted.
 */
struct change *daemon_reload(struct daemon *daemon, struct error *error);

/*
 * Queue the insertion of a policy, which replaces one of the same name; with `save` also write it
 * to a file that reloads and restarts read: both or neither. Takes ownership of `spec`. Return NULL and `error` as
 * above, with `spec` still the caller's.
 */
struct change *daemon_put_policy(struct daemon *daemon, struct policy_spec *spec, bool save,
				 struct error *error);

/*
 * Queue the removal of a policy. With `save` remove its file too; if the configuration defines a
 * policy of that name, this one counts again. Return likewise.
 */
struct change *daemon_remove_policy(struct daemon *daemon, const char *name, bool save,
				    struct error *error);

/* Notes on an active change; each may be NULL. */
struct change_notes {
	const char *restored; /* where the policy is defined that a removal has brought back */
	const char *restart;  /* the options that a reload would change, and only a restart does */
};

/*
 * Set the callback of a change, right after it was queued. It is called once, from the event loop
 * or from daemon_cancel_changes(). `error` is NULL if the change is active from the next query on,
 * and saved if requested; else nothing is changed.
 */
typedef void (*change_done)(void *context, struct daemon *daemon, const struct change_notes *notes,
			    const struct error *error);
void change_then(struct change *change, change_done done, void *context);

/*
 * Queue a rebuild of the chain, for policies whose input has changed, such as the map of a cluster.
 * Does nothing if one is queued already.
 */
void daemon_rebuild(struct daemon *daemon);

/* On SIGHUP: queue a reload, unless the last change in the queue is one. */
void daemon_reload_on_signal(struct daemon *daemon);

/* Cancel all changes, and refuse more. */
void daemon_cancel_changes(struct daemon *daemon);

/* Free everything, after all chains. */
void daemon_free_changes(struct daemon *daemon);

#endif
