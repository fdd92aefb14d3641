/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The maps of this process's clusters, by name, for building chains. Thread-safe.
 */
#ifndef XDP_ICP_CLUSTER_REGISTRY_H
#define XDP_ICP_CLUSTER_REGISTRY_H

#include "cluster/membership.h"

#define CLUSTERS_MAX 16u /* more are refused by the configuration */

/* Return a new reference to the current map of a cluster. NULL: none is known, or there is no such cluster. */
const struct membership *cluster_membership(const char *name);

/* Make a map the current one of its cluster; the registry adds a reference. -1: out of room. */
int cluster_publish(const struct membership *map);

/* Forget a cluster. */
void cluster_withdraw(const char *name);

#endif
