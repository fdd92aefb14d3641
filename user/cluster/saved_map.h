/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file of a cluster's map and lease, DIRECTORY/cluster-NAME. It is replaced atomically by a
 * thread of its own, because a disk may be slow. Its modification time is when etcd last confirmed
 * the map. Nothing is read or written where another user could interfere (path_safety.h).
 */
#ifndef XDP_ICP_CLUSTER_SAVED_MAP_H
#define XDP_ICP_CLUSTER_SAVED_MAP_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cluster/membership.h"

struct saved_map {
	char path[PATH_MAX];
	const struct membership *map; /* to be written, or NULL */
	uint64_t lease;
	uint64_t next;	      /* milliseconds: when the disk may be asked again */
	uint64_t touched;     /* the same: when the time was set */
	struct error failure; /* of the last attempt; an empty text: none */

	/* The thread's, while it runs. */
	pthread_t thread;
	bool running;
	atomic_bool done;
	bool touches; /* only set the time, if the file is there */
	const struct membership *writing;
	uint64_t writing_lease;
	struct error result;
};

/* -1: the path is too long. */
int saved_map_open(struct saved_map *saved, const char *directory, const char *cluster);

/*
 * Read the file (membership_read). Returns a reference, with the time of the file. NULL: there is none, or
 * it cannot be used, with an error.
 */
const struct membership *saved_map_read(struct saved_map *saved, const struct membership_head *now,
					uint64_t *lease, struct error *error);

/* Write a map soon; a later one takes its place. */
void saved_map_put(struct saved_map *saved, const struct membership *map, uint64_t lease);

/* Do what is due at `now`. Returns true if nothing is left to write. Never waits. */
bool saved_map_step(struct saved_map *saved, uint64_t now);

/*
 * etcd has confirmed the map in the file: update its time, at intervals. If the file is gone, write
 * it again.
 */
void saved_map_confirm(struct saved_map *saved, const struct membership *map, uint64_t lease,
		       uint64_t now);

/* Write what is to be written, and wait for it. */
void saved_map_close(struct saved_map *saved);

#endif
