// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cluster/registry.h"
#include "xdp-icpd/cluster_metrics.h"
#include "xdp-icpd/clusters.h"

static const struct {
	const char *name, *help;
} families[] = {
	{ "xdp_icp_cluster_members", "Members in the map in use." },
	{ "xdp_icp_cluster_members_found", "Members in etcd's map." },
	{ "xdp_icp_cluster_members_min", "Members that a map must have to be used." },
	{ "xdp_icp_cluster_drained", "Whether this member is drained." },
	{ "xdp_icp_cluster_isolated", "Whether this member's lease has expired." },
	{ "xdp_icp_cluster_assignments", "Assigned prefixes in the map in use." },
	{ "xdp_icp_cluster_bad_keys", "Malformed keys in etcd." },
	{ "xdp_icp_cluster_confirmed_timestamp_seconds",
	  "When etcd last confirmed the map in use." },
	{ "xdp_icp_cluster_trouble",
	  "Whether the map does not follow etcd, or the member is not in it." },
};

#define FAMILIES (sizeof(families) / sizeof(families[0]))

/* What is told of a cluster. */
struct sample {
	const char *name, *state;
	double values[FAMILIES]; /* in the order of families[] */
};

static struct sample take(struct cluster *cluster)
{
	const char *name = cluster_settings(cluster)->name;
	const struct membership *map = cluster_membership(name);
	const struct cluster_member *self = map ? membership_member(map, map->self) : NULL;
	struct cluster_status status;
	struct sample sample;
	const char *state;

	cluster_status(cluster, &status);
	state = cluster_state(&status);
	sample = (struct sample){
		.name = name,
		.state = state,
		.values = {
			map ? (double)map->member_count : 0,
			(double)status.found,
			(double)status.floor,
			self && self->drained,
			status.isolated,
			map ? (double)map->assignments.count : 0,
			(double)status.bad_keys,
			(double)status.confirmed,
			strcmp(state, "ok") != 0 && strcmp(state, "reading") != 0,
		},
	};
	membership_unref(map);
	return sample;
}

void cluster_metrics_write(struct openmetrics *text, struct daemon *daemon)
{
	struct sample samples[CLUSTERS_MAX];
	struct cluster *cluster = NULL;
	size_t count = 0;

	while (count < CLUSTERS_MAX && (cluster = daemon_next_cluster(daemon, cluster)))
		samples[count++] = take(cluster);
	openmetrics_family(text, METRIC_GAUGE, "xdp_icp_cluster_state",
			   "The state that the cluster is in.");
	for (size_t i = 0; i < count; i++)
		openmetrics_gauge(text, 1,
				  LABELS("cluster", samples[i].name, "state", samples[i].state));
	for (size_t family = 0; family < FAMILIES; family++) {
		openmetrics_family(text, METRIC_GAUGE, families[family].name,
				   families[family].help);
		for (size_t i = 0; i < count; i++)
			openmetrics_gauge(text, samples[i].values[family],
					  LABELS("cluster", samples[i].name));
	}
}
