/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's state in numbers, for Prometheus. The manual page lists the families. */
#ifndef XDP_ICP_DAEMON_METRICS_H
#define XDP_ICP_DAEMON_METRICS_H

#include "xdp-icpd/daemon.h"

/*
 * The handler of GET /metrics; `daemon` is a struct daemon. In OpenMetrics if the request accepts it,
 * else in Prometheus's own format.
 */
void get_metrics(void *daemon, struct control_request *request);

/* Free the cached texts. */
void metrics_free(struct daemon *daemon);

#endif
