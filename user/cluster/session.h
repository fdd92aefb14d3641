/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of a cluster's thread, which call each other. All of it belongs to that thread, except
 * for what cluster.c protects by a lock. Times are those of etcd_now(), in milliseconds.
 */
#ifndef XDP_ICP_CLUSTER_SESSION_H
#define XDP_ICP_CLUSTER_SESSION_H

#include "cluster/cluster.h"
#include "cluster/saved_map.h"
#include "lib/log.h"

/* This member's lease and key (presence.c). */
struct presence {
	uint64_t lease;	      /* 0: none */
	uint64_t valid_until; /* the lease certainly exists until then */
	uint64_t next;	      /* when to do something */
	uint64_t claim_next;  /* when to put the key, after errors */
	bool asked, claims;   /* a call runs; the next one puts the key */
	bool written;	      /* the key is there */
	bool disturbed;	      /* it was changed or deleted since the call was sent */
	uint64_t seen;	      /* revision up to which all was known when the call was sent */
	unsigned int refusals;
};

/* Reading and watching the keys (view.c). */
struct view {
	enum {
		VIEW_IDLE,
		VIEW_READS,
		VIEW_BEGINS, /* to watch */
		VIEW_WATCHES
	} state;
	bool whole;	   /* all must be read again */
	uint64_t next;	   /* when to do something; of VIEW_BEGINS: when it has taken too long */
	uint64_t revision; /* up to which all is known */
	uint64_t reading;  /* revision of the pages */
	char *cursor;	   /* key with which the next page begins */
	size_t cursor_length;
	unsigned int page;  /* keys */
	uint64_t read_next; /* when all may be read again */
	unsigned int refusals, behind;
	struct membership_changes *changes;
	size_t bad_keys;
};

struct session {
	const struct cluster_settings *settings;
	struct etcd *etcd;
	struct presence presence;
	struct view view;
	struct saved_map saved;
	struct cluster_status status; /* copied for other threads */
	unsigned int failures;	      /* of endpoints, since lease and watch were in order */
	unsigned int connection;      /* number; calls of a former one were dropped */
	bool connection_error;	      /* that is what status.error is about */
	const struct membership *known, *map; /* etcd's, and the one in use; NULL: none */
	bool fresh;			      /* they differ, or may */
	uint64_t hold_until;		      /* members may come back until then */
	uint64_t make_next;		      /* when to make the next map */
	bool published;			      /* set when another map is in use */
	uint64_t log_next;		      /* when to log an error like the last one */
	struct log_limit errors, bad_keys;
};

#define session_of(part, name) ((struct session *)((char *)(part)-offsetof(struct session, name)))

/* -1 with an error; nothing is to be closed then. */
int session_open(struct session *session, const struct cluster_settings *settings,
		 struct error *error);

/* Read the file, and use the map in it. */
void session_read(struct session *session);

/* Do what is due; return after `most` milliseconds, or earlier. */
void session_step(struct session *session, unsigned int most);

/*
 * End the lease, if `leaves`, and write what is not written yet. etcd has `most` milliseconds. Then
 * free everything.
 */
void session_close(struct session *session, bool leaves, unsigned int most);

/* --- for the parts */

/* Log a message that etcd can cause, at a limited rate. */
void session_log(struct session *session, int priority, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* An endpoint has replied, if only with an error. */
void session_reached(struct session *session);

/* It has not: drop all calls, and move on to the next. */
void session_unreachable(struct session *session, const struct error *error);

/* Note etcd's error, and return when to try again after so many of them. */
uint64_t session_retry(struct session *session, unsigned int refusals, const struct error *error);

/* Milliseconds that a short call may take. */
unsigned int session_timeout(const struct session *session);

/* Return a key below the cluster's prefix, for a body. NULL: out of memory. */
json_t *session_key(const struct session *session, const char *key, size_t length);

/* Make the next map, up to view.revision, of changes, which are freed. `whole`: all was read. */
void session_update(struct session *session, struct membership_changes *changes, bool whole);

void presence_begin(struct session *session, uint64_t when);
void presence_step(struct session *session, uint64_t now);

/* This member's key has been changed or deleted: look at it. */
void presence_recheck(struct session *session);

/* End the lease; presence.lease is 0 when that is done. */
void presence_leave(struct session *session);

/* Begin at that time, by reading all again or where the watch has ended. */
void view_begin(struct session *session, bool whole, uint64_t when);
void view_step(struct session *session, uint64_t now);

/*
 * etcd has replied, and was at this revision. It has lost data if it is behind `seen`, the revision
 * up to which everything was known when the call was sent; meanwhile the watch may be ahead of the
 * reply.
 */
void view_confirm(struct session *session, uint64_t revision, uint64_t seen);

/* When view_step() has something to do, unless a call ends before. */
uint64_t view_due(const struct session *session);

void view_end(struct session *session);

#endif
