/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /v1/clusters: the state of the clusters, and changes of their keys in etcd. */
#ifndef XDP_ICP_DAEMON_CLUSTER_COMMANDS_H
#define XDP_ICP_DAEMON_CLUSTER_COMMANDS_H

#include "control/server.h"
#include "xdp-icpd/daemon.h"

/* Return the state of all clusters, without their members; a new reference. NULL: out of memory. */
json_t *clusters_json(struct daemon *daemon);

/* Handlers (control/server.h), with the struct daemon as context. */
void get_clusters(void *context, struct control_request *request);
void get_assignments(void *context, struct control_request *request);
void put_assignment(void *context, struct control_request *request);
void delete_assignment(void *context, struct control_request *request);
void put_cluster_drain(void *context, struct control_request *request);
void delete_cluster_drain(void *context, struct control_request *request);

#endif
