/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changes of the chain while the daemon runs: reloads, and what icpctl policy asks for. They are
 * made one after another, in the order in which they were asked for, while the event loop goes on.
 */
#ifndef XDP_ICP_DAEMON_CHANGES_H
#define XDP_ICP_DAEMON_CHANGES_H

#include <stdbool.h>

#include "xdp-icpd/daemon.h"
#include "lib/error.h"
#include "policy/spec.h"

#define CHANGES_MAX 16 /* that wait at one time; more are refused */

struct change;

/* Before the others. -1 and `error`: it cannot. daemon_free_changes() in either case. */
int daemon_open_changes(struct daemon *daemon, struct error *error);

/*
 * Reads the configuration again and takes it over as a whole, or leaves everything as it is. NULL
 * and `error`: too many changes wait, the daemon ends, or out of memory.
 */
struct change *daemon_reload(struct daemon *daemon, struct error *error);

/*
 * Puts a policy into the chain, in the place of one of the same name; with `save` also into a file
 * that a reload and a restart read. NULL and `error` as above, and the spec is still the caller's.
 */
struct change *daemon_put_policy(struct daemon *daemon, struct policy_spec *spec, bool save,
				 struct error *error);

/* Takes a policy out of the chain in the same way, with `save` also its file. */
struct change *daemon_remove_policy(struct daemon *daemon, const char *name, bool save,
				    struct error *error);

/*
 * At once after one of those: whom to tell how it ended. Called once, from the event loop or
 * daemon_end_changes(). `error` is NULL if the change counts, from the next query on, and is saved
 * where that was asked for. A change that nobody is told of is logged if it fails.
 */
typedef void (*change_done)(void *context, struct daemon *daemon, const struct error *error);
void change_then(struct change *change, change_done done, void *context);

/* SIGHUP: a reload, if none waits that this would repeat. */
void daemon_reload_on_signal(struct daemon *daemon);

/* Cancels all changes; more are refused. */
void daemon_end_changes(struct daemon *daemon);

/* When no chain is left. */
void daemon_free_changes(struct daemon *daemon);

#endif
