/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * This host's part in a cluster: a member's key in etcd under a lease, the current map (registry.h),
 * which outlives etcd in a file, and changes that operators ask for. Each cluster has a thread of
 * its own, so that neither etcd nor a resolver, a disk or a million keys can delay the event loop.
 */
#ifndef XDP_ICP_CLUSTER_CLUSTER_H
#define XDP_ICP_CLUSTER_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <event2/event.h>

#include "cluster/etcd.h"
#include "cluster/membership.h"
#include "lib/error.h"

#define CLUSTER_CHANGES_MAX 64u	    /* waiting for etcd; more are refused */
#define CLUSTER_CHANGE_TIMEOUT 8000 /* milliseconds that one waits for etcd */

struct cluster_settings {
	const char *name;      /* as of a member (membership.h), without a dot at the beginning */
	const char *prefix;    /* of the keys, without a slash at the end */
	const char *self;      /* name of this member */
	const char *addresses; /* of this member, separated by ", " */
	const char *state;     /* directory of the file */
	unsigned int weight;
	unsigned int ttl;	  /* milliseconds for which the lease lasts without etcd */
	unsigned int members_min; /* smaller maps are not taken; 0: half of the last map */
	bool isolated_misses;	  /* without a lease nothing is this member's own */
	struct etcd_settings etcd;
};

struct cluster;

/*
 * Start a cluster. `changed` is called in the event loop after each change of the map. The settings
 * must outlive the cluster. NULL with an error.
 */
struct cluster *cluster_start(const struct cluster_settings *settings, struct event_base *base,
			      void (*changed)(void *context), void *context, struct error *error);

/* Wait until the map in the file is in use, if there is one. */
void cluster_await_file(struct cluster *cluster);

/*
 * Stop a cluster, and free everything: wait for its thread, which takes at most some seconds.
 * `leaves`: revoke the lease, so that other members take over at once; otherwise the lease stays
 * for a successor until it expires. The callbacks of waiting changes are called. NULL is ignored.
 */
void cluster_stop(struct cluster *cluster, bool leaves);

/*
 * Likewise without waiting: `ended` is called in the event loop when everything is freed, unless
 * cluster_stop() comes first.
 */
void cluster_end(struct cluster *cluster, bool leaves, void (*ended)(void *context), void *context);

const struct cluster_settings *cluster_settings(const struct cluster *cluster);

struct cluster_status {
	bool connected;	  /* etcd has replied, and no call has failed since */
	bool watching;	  /* etcd reports each change */
	bool registered;  /* this member's key is in etcd */
	bool isolated;	  /* the lease has expired, whatever `isolated_misses` is */
	bool below_floor; /* etcd's map has too few members: the last one stays */
	bool saved;	  /* the file has the current map */
	uint64_t lease;	  /* 0: none */
	size_t found;	  /* members in etcd's map */
	size_t floor;	  /* members that a map must have */
	size_t bad_keys;  /* malformed ones since all was read */
	time_t confirmed; /* when etcd has last confirmed the map; 0: never */
	unsigned long reads, changes, failures; /* whole reads, changes of the map, failed calls */
	const char *endpoint;			/* in use; lives as long as the settings */
	/* The last of each; an empty text: none. */
	struct error error;	  /* of the connection or the lease, until it is over */
	struct error bad_key;	  /* since all was read */
	struct error state_error; /* of the file */
};

void cluster_status(struct cluster *cluster, struct cluster_status *status);

/*
 * Return the most important part of a status: isolated, below_floor, unreachable, unregistered,
 * reading (all keys) or ok. Static text.
 */
const char *cluster_state(const struct cluster_status *status);

/*
 * Set a key (below the cluster's prefix), or delete it if `value` is NULL; both are copied. `done`
 * is called in the event loop once etcd has replied or after CLUSTER_CHANGE_TIMEOUT: `error` is
 * NULL, or says why the change may not have been made; `found`: a key to delete existed. Returns -1
 * with an error if too many changes are waiting.
 */
typedef void (*cluster_changed)(void *context, bool found, const struct error *error);
int cluster_change(struct cluster *cluster, const char *key, size_t key_length, const char *value,
		   cluster_changed done, void *context, struct error *error);

#endif
