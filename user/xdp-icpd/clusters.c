// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A cluster whose configuration has changed is stopped, and started again once it has stopped.
 * Meanwhile its last map stays in use.
 */
#include <stdlib.h>
#include <string.h>

#include "cluster/registry.h"
#include "config/cluster_config.h"
#include "config/render.h"
#include "lib/log.h"
#include "xdp-icpd/clusters.h"
#include "xdp-icpd/reload.h"

struct running {
	SLIST_ENTRY(running) link;
	struct daemon *daemon;
	struct cluster *cluster;
	struct cluster_settings *settings;
	char *text; /* its section */
	bool ends;
};

/* Return the section of a cluster, or NULL. */
static const struct policy_spec *find_spec(const struct config *config, const char *name)
{
	struct policy_spec **found =
		policy_specs_find(config->clusters, config->cluster_count, name);

	return found ? *found : NULL;
}

static struct running *find(struct daemon *daemon, const char *name)
{
	struct running *one;

	SLIST_FOREACH (one, &daemon->clusters, link)
		if (strcmp(one->settings->name, name) == 0)
			return one;
	return NULL;
}

static void on_change(void *context)
{
	struct daemon *daemon = context;

	if (cluster_config_is_used(daemon->config))
		daemon_rebuild(daemon);
}

static void running_free(struct running *one)
{
	cluster_config_free(one->settings);
	free(one->text);
	free(one);
}

/* Keep the list in the order of the names. */
static void insert(struct daemon *daemon, struct running *one)
{
	struct running *other, *before = NULL;

	SLIST_FOREACH (other, &daemon->clusters, link)
		if (strcmp(other->settings->name, one->settings->name) < 0)
			before = other;
	if (before)
		SLIST_INSERT_AFTER(before, one, link);
	else
		SLIST_INSERT_HEAD(&daemon->clusters, one, link);
}

static int start(struct daemon *daemon, const struct policy_spec *spec, struct error *error)
{
	struct running *one = calloc(1, sizeof(*one));

	if (!one)
		return error_set(error, "out of memory");
	one->daemon = daemon;
	one->settings = cluster_config_read(spec, daemon->config, error);
	one->text = render_section("", "cluster", spec);
	if (one->settings && one->text)
		one->cluster = cluster_start(one->settings, daemon->base, on_change, daemon, error);
	if (one->cluster) {
		insert(daemon, one);
		return 0;
	}
	running_free(one);
	return error_prefix(error, "cluster '%s': ", spec->name);
}

int daemon_start_clusters(struct daemon *daemon, struct error *error)
{
	struct running *one;

	for (size_t i = 0; i < daemon->config->cluster_count; i++)
		if (start(daemon, daemon->config->clusters[i], error))
			return -1;
	SLIST_FOREACH (one, &daemon->clusters, link)
		cluster_await_file(one->cluster);
	return 0;
}

static void on_end(void *context)
{
	struct running *one = context;
	struct daemon *daemon = one->daemon;

	SLIST_REMOVE(&daemon->clusters, one, running, link);
	if (!find_spec(daemon->config, one->settings->name))
		cluster_withdraw(one->settings->name);
	running_free(one);
	daemon_sync_clusters(daemon);
}

/* Is it the same member of the same cluster, by the new section? Its lease can stay then. */
static bool is_same_member(struct daemon *daemon, const struct running *one,
			   const struct policy_spec *spec)
{
	struct error ignored;
	struct cluster_settings *settings =
		spec ? cluster_config_read(spec, daemon->config, &ignored) : NULL;
	bool same = settings && strcmp(settings->prefix, one->settings->prefix) == 0 &&
		    strcmp(settings->self, one->settings->self) == 0 &&
		    strcmp(settings->state, one->settings->state) == 0;

	cluster_config_free(settings);
	return same;
}

static void end_unless_same(struct daemon *daemon, struct running *one)
{
	const struct policy_spec *spec = find_spec(daemon->config, one->settings->name);
	char *text = spec ? render_section("", "cluster", spec) : NULL;

	if (!one->ends && (!text || strcmp(text, one->text) != 0)) {
		one->ends = true;
		cluster_end(one->cluster, !is_same_member(daemon, one, spec), on_end, one);
	}
	free(text);
}

void daemon_sync_clusters(struct daemon *daemon)
{
	struct running *one;
	struct error error;

	if (daemon->ending)
		return;
	SLIST_FOREACH (one, &daemon->clusters, link)
		end_unless_same(daemon, one);
	for (size_t i = 0; i < daemon->config->cluster_count; i++)
		if (!find(daemon, daemon->config->clusters[i]->name) &&
		    start(daemon, daemon->config->clusters[i], &error))
			log_write(LOG_ERR, "%s", error.text);
}

void daemon_leave_clusters(struct daemon *daemon)
{
	struct running *one;

	SLIST_FOREACH (one, &daemon->clusters, link) {
		if (!one->ends)
			cluster_end(one->cluster, true, on_end, one);
		one->ends = true;
	}
}

void daemon_stop_clusters(struct daemon *daemon, bool leaves)
{
	struct running *one;

	while ((one = SLIST_FIRST(&daemon->clusters))) {
		SLIST_REMOVE_HEAD(&daemon->clusters, link);
		cluster_stop(one->cluster, leaves);
		cluster_withdraw(one->settings->name);
		running_free(one);
	}
}

struct cluster *daemon_next_cluster(struct daemon *daemon, const struct cluster *former)
{
	bool behind = !former;
	struct running *one;

	SLIST_FOREACH (one, &daemon->clusters, link) {
		if (behind && !one->ends)
			return one->cluster;
		behind = behind || one->cluster == former;
	}
	return NULL;
}
