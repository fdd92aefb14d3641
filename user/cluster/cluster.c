// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The thread of a cluster, and what passes between it and the event loop: changes that are asked for go
 * in, those that are done and the state come out.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "cluster/etcd_json.h"
#include "cluster/registry.h"
#include "cluster/session.h"
#include "lib/event.h"
#include "lib/thread.h"

#define STEP_TIME 1000	/* milliseconds */
#define LEAVE_TIME 1000 /* the same */

/* A change of a key. */
struct change {
	TAILQ_ENTRY(change) link;
	struct cluster *cluster;
	char *key, *value; /* `value` NULL: to be deleted */
	size_t key_length;
	cluster_changed done;
	void *context;
	uint64_t deadline;
	bool sent, over, found;
	unsigned int sendings;
	unsigned int connection; /* on which it was sent */
	bool failed;
	struct error error;
};

TAILQ_HEAD(change_list, change);

struct cluster {
	const struct cluster_settings *settings;
	void (*changed)(void *context);
	void (*ended)(void *context);
	void *context;
	struct event *on_wake;
	int wake; /* eventfd, readable: the event loop has work */
	pthread_t thread;
	struct session session; /* the thread's */

	pthread_mutex_t lock; /* of all below */
	struct change_list asked, done;
	size_t waiting; /* changes that are not called back yet */
	struct cluster_status status;
	bool published, leaves, stops, has_ended;

	sem_t file_read;
};

/* --- in the thread */

static void on_changed(void *context, const struct etcd_result *result)
{
	struct change *change = context;

	change->error = result->error;
	if (result->outcome == ETCD_UNREACHABLE) {
		/* Sent again to the next endpoint. Nothing else changes if it was done. */
		change->sent = false;
		session_unreachable(&change->cluster->session, &result->error);
		return;
	}
	if (result->outcome != ETCD_NOT_SENT)
		session_reached(&change->cluster->session);
	change->failed = result->outcome != ETCD_OK;
	/* If the reply to an earlier one was lost, that may have deleted it. */
	change->found = etcd_number(result->reply, "deleted") || change->sendings > 1;
	change->over = true;
}

static void send_change(struct session *session, struct change *change)
{
	json_t *key = session_key(session, change->key, change->key_length);
	json_t *body = change->value
			       ? json_pack("{s:o, s:o}", "key", key, "value",
					   etcd_make_bytes(change->value, strlen(change->value)))
			       : json_pack("{s:o}", "key", key);

	change->sent = true;
	change->sendings++;
	change->connection = session->connection;
	etcd_call(session->etcd, change->value ? "kv/put" : "kv/deleterange", body,
		  session_timeout(session), on_changed, change);
}

static void time_out(struct session *session, struct change *change)
{
	const struct error *last = &session->status.error;

	etcd_drop(session->etcd, change);
	error_set(&change->error, "etcd has not replied within %d s; it may be done later%s%s",
		  CLUSTER_CHANGE_TIMEOUT / 1000, last->text[0] ? ": " : "", last->text);
	change->failed = true;
	change->over = true;
}

/* Go on with the changes that the thread has, and move those that are over to another list. */
static void step_changes(struct session *session, struct change_list *changes,
			 struct change_list *over)
{
	uint64_t now = etcd_now();
	struct change *change, *next;

	for (change = TAILQ_FIRST(changes); change; change = next) {
		next = TAILQ_NEXT(change, link);
		if (change->sent && change->connection != session->connection)
			change->sent = false;
		if (!change->over && now >= change->deadline)
			time_out(session, change);
		else if (!change->over && !change->sent && session->status.connected)
			send_change(session, change);
		if (!change->over)
			continue;
		TAILQ_REMOVE(changes, change, link);
		TAILQ_INSERT_TAIL(over, change, link);
	}
}

/* Exchange what has come and what is over. Returns whether the thread goes on. */
static bool exchange(struct cluster *cluster, struct change_list *changes, struct change_list *over)
{
	struct session *session = &cluster->session;
	bool tell = session->published || !TAILQ_EMPTY(over), goes_on;

	pthread_mutex_lock(&cluster->lock);
	TAILQ_CONCAT(changes, &cluster->asked, link);
	TAILQ_CONCAT(&cluster->done, over, link);
	cluster->status = session->status;
	cluster->published |= session->published;
	goes_on = !cluster->stops;
	pthread_mutex_unlock(&cluster->lock);
	session->published = false;
	if (tell)
		eventfd_write(cluster->wake, 1);
	return goes_on;
}

static void *run(void *context)
{
	struct cluster *cluster = context;
	struct change_list changes = TAILQ_HEAD_INITIALIZER(changes);
	struct change_list over = TAILQ_HEAD_INITIALIZER(over);

	pthread_setname_np(pthread_self(), "cluster");
	session_read(&cluster->session);
	sem_post(&cluster->file_read);
	while (exchange(cluster, &changes, &over)) {
		step_changes(&cluster->session, &changes, &over);
		session_step(&cluster->session, TAILQ_EMPTY(&over) ? STEP_TIME : 0);
	}
	session_close(&cluster->session, cluster->leaves, LEAVE_TIME);
	pthread_mutex_lock(&cluster->lock);
	/* They are called back as those that have come too late. */
	TAILQ_CONCAT(&cluster->asked, &changes, link);
	cluster->has_ended = true;
	pthread_mutex_unlock(&cluster->lock);
	eventfd_write(cluster->wake, 1);
	return NULL;
}

/* --- in the event loop */

static void call_back(struct change *change)
{
	change->done(change->context, change->found, change->failed ? &change->error : NULL);
	free(change->key);
	free(change->value);
	free(change);
}

static void cluster_free(struct cluster *cluster)
{
	struct change *change;

	while ((change = TAILQ_FIRST(&cluster->done)) || (change = TAILQ_FIRST(&cluster->asked))) {
		if (change == TAILQ_FIRST(&cluster->done)) {
			TAILQ_REMOVE(&cluster->done, change, link);
		} else {
			TAILQ_REMOVE(&cluster->asked, change, link);
			change->failed = true;
			error_set(&change->error,
				  "the cluster's configuration changes, or the daemon "
				  "ends; it may be done nevertheless");
		}
		call_back(change);
	}
	event_drop(cluster->on_wake);
	if (cluster->wake >= 0)
		close(cluster->wake);
	pthread_mutex_destroy(&cluster->lock);
	sem_destroy(&cluster->file_read);
	free(cluster);
}

static void on_wake(evutil_socket_t fd, short what, void *context)
{
	struct cluster *cluster = context;
	struct change_list done = TAILQ_HEAD_INITIALIZER(done);
	struct change *change;
	bool published, ended;
	eventfd_t value;

	eventfd_read(fd, &value);
	pthread_mutex_lock(&cluster->lock);
	TAILQ_CONCAT(&done, &cluster->done, link);
	published = cluster->published;
	cluster->published = false;
	ended = cluster->has_ended;
	pthread_mutex_unlock(&cluster->lock);
	while ((change = TAILQ_FIRST(&done))) {
		TAILQ_REMOVE(&done, change, link);
		cluster->waiting--;
		call_back(change);
	}
	if (published && !cluster->ended)
		cluster->changed(cluster->context);
	if (ended && cluster->ended) {
		void (*then)(void *context) = cluster->ended;
		void *then_context = cluster->context;

		pthread_join(cluster->thread, NULL);
		cluster_free(cluster);
		then(then_context);
	}
}

struct cluster *cluster_start(const struct cluster_settings *settings, struct event_base *base,
			      void (*changed)(void *context), void *context, struct error *error)
{
	struct cluster *cluster = calloc(1, sizeof(*cluster));
	int failed;

	if (!cluster) {
		error_set(error, "out of memory");
		return NULL;
	}
	cluster->settings = settings;
	cluster->changed = changed;
	cluster->context = context;
	TAILQ_INIT(&cluster->asked);
	TAILQ_INIT(&cluster->done);
	pthread_mutex_init(&cluster->lock, NULL);
	sem_init(&cluster->file_read, 0, 0);
	cluster->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	cluster->on_wake = event_new(base, cluster->wake, EV_READ | EV_PERSIST, on_wake, cluster);
	if (cluster->wake < 0 || !cluster->on_wake || event_add(cluster->on_wake, NULL)) {
		error_set(error, "out of memory or of file descriptors");
	} else if (session_open(&cluster->session, settings, error) == 0) {
		cluster->status = cluster->session.status;
		failed = thread_start(&cluster->thread, NULL, run, cluster);
		if (!failed)
			return cluster;
		session_close(&cluster->session, false, 0);
		error_set(error, "cannot create a thread: %s", strerror(failed));
	}
	cluster_free(cluster);
	return NULL;
}

void cluster_await_file(struct cluster *cluster)
{
	while (sem_wait(&cluster->file_read) && errno == EINTR)
		;
	sem_post(&cluster->file_read);
}

static void tell_to_end(struct cluster *cluster, bool leaves)
{
	pthread_mutex_lock(&cluster->lock);
	cluster->stops = true;
	cluster->leaves = leaves;
	/* The thread frees the client, but not before it has seen this. */
	etcd_wake(cluster->session.etcd);
	pthread_mutex_unlock(&cluster->lock);
}

void cluster_end(struct cluster *cluster, bool leaves, void (*ended)(void *context), void *context)
{
	cluster->ended = ended;
	cluster->context = context;
	tell_to_end(cluster, leaves);
}

void cluster_stop(struct cluster *cluster, bool leaves)
{
	if (!cluster)
		return;
	if (!cluster->ended)
		tell_to_end(cluster, leaves);
	pthread_join(cluster->thread, NULL);
	cluster_free(cluster);
}

const struct cluster_settings *cluster_settings(const struct cluster *cluster)
{
	return cluster->settings;
}

void cluster_status(struct cluster *cluster, struct cluster_status *status)
{
	pthread_mutex_lock(&cluster->lock);
	*status = cluster->status;
	pthread_mutex_unlock(&cluster->lock);
}

const char *cluster_state(const struct cluster_status *status)
{
	return status->isolated	     ? "isolated"
	       : status->below_floor ? "below_floor"
	       : !status->connected  ? "unreachable"
	       : !status->registered ? "unregistered"
	       : !status->watching   ? "reading"
				     : "ok";
}

int cluster_change(struct cluster *cluster, const char *key, size_t key_length, const char *value,
		   cluster_changed done, void *context, struct error *error)
{
	struct change *change;

	if (cluster->waiting >= CLUSTER_CHANGES_MAX)
		return error_set(error, "%u changes are already waiting for etcd; try again later",
				 CLUSTER_CHANGES_MAX);
	change = calloc(1, sizeof(*change));
	if (change) {
		change->key = malloc(key_length);
		change->value = value ? strdup(value) : NULL;
	}
	if (!change || !change->key || !change->value != !value) {
		if (change) {
			free(change->key);
			free(change->value);
		}
		free(change);
		return error_set(error, "out of memory");
	}
	memcpy(change->key, key, key_length);
	change->key_length = key_length;
	change->cluster = cluster;
	change->done = done;
	change->context = context;
	change->deadline = etcd_now() + CLUSTER_CHANGE_TIMEOUT;
	cluster->waiting++;
	pthread_mutex_lock(&cluster->lock);
	TAILQ_INSERT_TAIL(&cluster->asked, change, link);
	pthread_mutex_unlock(&cluster->lock);
	etcd_wake(cluster->session.etcd);
	return 0;
}
