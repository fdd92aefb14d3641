/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The clusters that the configuration describes, as they run. */
#ifndef XDP_ICP_DAEMON_CLUSTERS_H
#define XDP_ICP_DAEMON_CLUSTERS_H

#include "cluster/cluster.h"
#include "xdp-icpd/daemon.h"

/*
 * Start the clusters of daemon->config, so that the maps in their files are known to the first chain.
 * Return 0, or -1 and `error`.
 */
int daemon_start_clusters(struct daemon *daemon, struct error *error);

/* After a reload: end what is no longer configured, start what is new, let the rest alone. */
void daemon_sync_clusters(struct daemon *daemon);

/* Let the other members take over, when the drain before the exit begins. */
void daemon_leave_clusters(struct daemon *daemon);

/*
 * End all. `leaves`: let the other members take over at once, for which etcd has at most a second.
 */
void daemon_stop_clusters(struct daemon *daemon, bool leaves);

/*
 * Return the first cluster that runs (`former` NULL), or the one behind `former`, in the order of their
 * names, leaving out those that end. NULL: there is none.
 */
struct cluster *daemon_next_cluster(struct daemon *daemon, const struct cluster *former);

#endif
