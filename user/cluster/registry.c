// SPDX-License-Identifier: GPL-2.0-or-later
#include <pthread.h>
#include <string.h>

#include "cluster/registry.h"

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static const struct membership *maps[CLUSTERS_MAX]; /* under the lock */

/* Return the place of a cluster's map, or NULL. */
static const struct membership **find(const char *name)
{
	for (size_t i = 0; i < CLUSTERS_MAX; i++)
		if (maps[i] && strcmp(maps[i]->cluster, name) == 0)
			return &maps[i];
	return NULL;
}

static const struct membership **find_free(void)
{
	for (size_t i = 0; i < CLUSTERS_MAX; i++)
		if (!maps[i])
			return &maps[i];
	return NULL;
}

const struct membership *cluster_membership(const char *name)
{
	const struct membership **place, *map;

	pthread_rwlock_rdlock(&lock);
	place = find(name);
	map = place ? membership_ref(*place) : NULL;
	pthread_rwlock_unlock(&lock);
	return map;
}

/* Put a map, or NULL, in the place of a cluster's. Takes the reference. */
static int replace(const char *name, const struct membership *map)
{
	const struct membership **place, *former = map;

	pthread_rwlock_wrlock(&lock);
	place = find(name);
	if (!place && map)
		place = find_free();
	if (place) {
		former = *place;
		*place = map;
	}
	pthread_rwlock_unlock(&lock);
	/* May take long: without the lock. */
	membership_unref(former);
	return place ? 0 : -1;
}

int cluster_publish(const struct membership *map)
{
	return replace(map->cluster, membership_ref(map));
}

void cluster_withdraw(const char *name)
{
	replace(name, NULL);
}
