// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cluster/registry.h"
#include "xdp-icpd/cluster_metrics.h"
#include "xdp-icpd/clusters.h"

/* What is told of a cluster. */
struct sample {
	const char *name, *state;
	size_t members, found, floor, assignments, bad_keys;
	bool drained, isolated;
	time_t confirmed;
};

struct samples {
	struct sample list[CLUSTERS_MAX];
	size_t count;
};

static int take(void *context, struct cluster *cluster)
{
	const char *name = cluster_settings(cluster)->name;
	const struct membership *map = cluster_membership(name);
	const struct cluster_member *self = map ? membership_member(map, map->self) : NULL;
	struct samples *samples = context;
	struct cluster_status status;

	cluster_status(cluster, &status);
	samples->list[samples->count++] = (struct sample){
		.name = name,
		.state = cluster_state(&status),
		.members = map ? map->member_count : 0,
		.assignments = map ? map->assignments.count : 0,
		.found = status.found,
		.floor = status.floor,
		.drained = self && self->drained,
		.isolated = status.isolated,
		.bad_keys = status.bad_keys,
		.confirmed = status.confirmed,
	};
	membership_unref(map);
	return samples->count == CLUSTERS_MAX;
}

static double members(const struct sample *sample)
{
	return (double)sample->members;
}

static double found(const struct sample *sample)
{
	return (double)sample->found;
}

static double floor_of(const struct sample *sample)
{
	return (double)sample->floor;
}

static double drained(const struct sample *sample)
{
	return sample->drained;
}

static double isolated(const struct sample *sample)
{
	return sample->isolated;
}

static double assignments(const struct sample *sample)
{
	return (double)sample->assignments;
}

static double bad_keys(const struct sample *sample)
{
	return (double)sample->bad_keys;
}

static double confirmed(const struct sample *sample)
{
	return (double)sample->confirmed;
}

static double is_in_trouble(const struct sample *sample)
{
	return strcmp(sample->state, "ok") != 0 && strcmp(sample->state, "reading") != 0;
}

static const struct {
	const char *name, *help;
	double (*value)(const struct sample *sample);
} families[] = {
	{ "xdp_icp_cluster_members", "Members in the map that counts.", members },
	{ "xdp_icp_cluster_members_found", "Members in etcd's map.", found },
	{ "xdp_icp_cluster_members_min", "Members that a map must have to count.", floor_of },
	{ "xdp_icp_cluster_drained", "Is this member drained?", drained },
	{ "xdp_icp_cluster_isolated", "Is this member's lease over?", isolated },
	{ "xdp_icp_cluster_assignments", "Prefixes that are assigned in it.", assignments },
	{ "xdp_icp_cluster_bad_keys", "Keys in etcd that make no sense.", bad_keys },
	{ "xdp_icp_cluster_confirmed_timestamp_seconds",
	  "When etcd has confirmed the map that counts.", confirmed },
	{ "xdp_icp_cluster_trouble", "Does the map not follow etcd, or the member not count?",
	  is_in_trouble },
};

void cluster_metrics_write(struct openmetrics *text, struct daemon *daemon)
{
	struct samples samples = { .count = 0 };

	daemon_each_cluster(daemon, take, &samples);
	openmetrics_family(text, METRIC_GAUGE, "xdp_icp_cluster_state",
			   "The state that the cluster is in.");
	for (size_t i = 0; i < samples.count; i++)
		openmetrics_gauge(
			text, 1,
			LABELS("cluster", samples.list[i].name, "state", samples.list[i].state));
	for (size_t family = 0; family < sizeof(families) / sizeof(families[0]); family++) {
		openmetrics_family(text, METRIC_GAUGE, families[family].name,
				   families[family].help);
		for (size_t i = 0; i < samples.count; i++)
			openmetrics_gauge(text, families[family].value(&samples.list[i]),
					  LABELS("cluster", samples.list[i].name));
	}
}
