/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The metrics of clusters. */
#ifndef XDP_ICP_DAEMON_CLUSTER_METRICS_H
#define XDP_ICP_DAEMON_CLUSTER_METRICS_H

#include "lib/openmetrics.h"
#include "xdp-icpd/daemon.h"

void cluster_metrics_write(struct openmetrics *text, struct daemon *daemon);

#endif
