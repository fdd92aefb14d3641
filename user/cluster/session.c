// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <sys/random.h>

#include "cluster/etcd_json.h"
#include "cluster/registry.h"
#include "cluster/session.h"
#include "lib/plural.h"

#define BACK_OFF_FIRST 100     /* milliseconds */
#define BACK_OFF_REFUSED 10000 /* at most, if etcd refuses */
#define BACK_OFF_STEPS 7
#define LOGGED_ERRORS 5 /* in a period (log.h) */
#define LOG_PAUSE 60000 /* milliseconds, of errors that follow each other */
#define MAKE_PAUSE 50	/* milliseconds between two maps, at least */
#define MAKE_FACTOR 3	/* and so many times what it takes to make one */
#define FILE_POLL 50	/* milliseconds, while it is written */

/* --- errors and when to try again */

unsigned int session_timeout(const struct session *session)
{
	unsigned int third = session->settings->ttl / 3;

	return third < 500 ? 500 : third > 5000 ? 5000 : third;
}

/*
 * Twice as long each time, up to `most`; half of it is random, so that not all members try at once.
 */
static unsigned int back_off(unsigned int failures, unsigned int most)
{
	unsigned int time = BACK_OFF_FIRST
			    << (failures < BACK_OFF_STEPS ? failures : BACK_OFF_STEPS);
	uint32_t random = 0;

	if (time > most)
		time = most;
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = (uint32_t)clock();
	return time / 2 + random % (time / 2 + 1);
}

void session_log(struct session *session, int priority, const char *format, ...)
{
	char more[LOG_LIMIT_TEXT];
	struct error text;
	va_list args;

	if (!log_limit_allows(&session->errors, LOGGED_ERRORS, more))
		return;
	va_start(args, format);
	vsnprintf(text.text, sizeof(text.text), format, args);
	va_end(args);
	log_write(priority, "cluster '%s': %s%s", session->settings->name, text.text, more);
}

static void note(struct session *session, bool connection, const struct error *error)
{
	bool repeated = session->log_next > etcd_now() && session->connection_error == connection;

	session->connection_error = connection;
	session->status.error = *error;
	if (repeated)
		return;
	session->log_next = etcd_now() + LOG_PAUSE;
	session_log(session, LOG_WARNING, "%s%s", error->text,
		    session->map ? "; keeping the last map" : "; there is no map yet");
}

uint64_t session_retry(struct session *session, unsigned int refusals, const struct error *error)
{
	note(session, false, error);
	return etcd_now() + back_off(refusals, BACK_OFF_REFUSED);
}

void session_reached(struct session *session)
{
	if (!session->status.connected) {
		session_log(session, LOG_NOTICE, "etcd replies, %s", etcd_endpoint(session->etcd));
		session->log_next = 0;
	}
	session->status.connected = true;
	if (session->connection_error)
		session->status.error.text[0] = '\0';
	session->connection_error = false;
}

/*
 * Each endpoint should be tried before the lease expires: there is no pause until all have failed.
 */
void session_unreachable(struct session *session, const struct error *error)
{
	unsigned int others = (unsigned int)session->settings->etcd.endpoint_count - 1;
	unsigned int failures = session->failures++, most = session_timeout(session);
	uint64_t when = etcd_now();

	note(session, true, error);
	session->status.failures++;
	session->status.connected = false;
	session->connection++;
	etcd_drop(session->etcd, NULL);
	etcd_next_endpoint(session->etcd);
	if (failures >= others)
		when += back_off(failures - others, most);
	presence_begin(session, when);
	view_begin(session, false, when);
}

json_t *session_key(const struct session *session, const char *key, size_t length)
{
	size_t head = strlen(session->settings->prefix);
	char *whole = malloc(head + 1 + length);
	json_t *json;

	if (!whole)
		return NULL;
	memcpy(whole, session->settings->prefix, head);
	whole[head] = '/';
	memcpy(whole + head + 1, key, length);
	json = etcd_make_bytes(whole, head + 1 + length);
	free(whole);
	return json;
}

/* --- maps */

static const struct membership *make(const struct session *session, const struct membership *former,
				     struct membership_changes *changes, struct error *error)
{
	const struct membership_head head = {
		.cluster = session->settings->name,
		.self = session->settings->self,
		.revision = changes || !former ? session->view.revision : former->revision,
		.as_of = changes || !former ? time(NULL) : former->as_of,
		.isolated = session->status.isolated && session->settings->isolated_misses,
		.leased = session->settings->isolated_misses,
	};

	return membership_make(former, changes, &head, error);
}

/* Take the reference of a map, which is in use from now on. */
static void publish(struct session *session, const struct membership *map)
{
	const struct membership *former = session->map;

	session->map = map;
	session->published = true;
	if (cluster_publish(map))
		log_write(LOG_ERR, "cluster '%s': no room for its map", session->settings->name);
	membership_unref(former);
}

/*
 * May members that are not in etcd's map come back soon? After all keys were read because etcd has lost
 * more than the watch, members put their keys again; and at first, this one does.
 */
static bool lacks_members(const struct session *session)
{
	const struct membership *map = session->map;

	for (size_t i = 0; map && i < map->member_count; i++)
		if (!membership_member(session->known, map->members[i].name))
			return true;
	return !map && !membership_member(session->known, session->settings->self);
}

static bool is_below_floor(struct session *session)
{
	struct cluster_status *status = &session->status;
	size_t last = session->map ? session->map->member_count : 0;
	bool below;

	status->found = session->known->member_count;
	status->floor =
		session->settings->members_min ? session->settings->members_min : (last + 1) / 2;
	below = status->found < status->floor;
	if (below && !status->below_floor)
		log_write(LOG_WARNING,
			  "cluster '%s': etcd has %zu %s, fewer than %zu (members_min); "
			  "keeping the last map, of %zu",
			  session->settings->name, status->found,
			  plural(status->found, "member", "members"), status->floor, last);
	status->below_floor = below;
	return below;
}

/* Use the map of etcd, if it is fit for use. */
static void consider(struct session *session, uint64_t now)
{
	const struct membership *known = session->known;

	if (!session->fresh || is_below_floor(session) ||
	    (now < session->hold_until && lacks_members(session)))
		return;
	session->fresh = false;
	session->status.confirmed = known->as_of;
	if (session->map && membership_is_same(session->map, known))
		return;
	session->status.changes++;
	publish(session, membership_ref(known));
	saved_map_put(&session->saved, known, session->presence.lease);
	log_write(LOG_INFO, "cluster '%s': %zu %s, %zu assigned %s, revision %llu",
		  session->settings->name, known->member_count,
		  plural(known->member_count, "member", "members"), known->assignments.count,
		  plural(known->assignments.count, "prefix", "prefixes"),
		  (unsigned long long)known->revision);
}

void session_update(struct session *session, struct membership_changes *changes, bool whole)
{
	const struct membership *former = session->known ? session->known : session->map;
	uint64_t begin = etcd_now();
	struct error error;
	const struct membership *made = make(session, former, changes, &error);

	membership_changes_free(changes);
	if (!made) {
		error_prefix(&error, "the last map stays: ");
		view_begin(session, true, session_retry(session, session->view.refusals++, &error));
		return;
	}
	session->view.refusals = 0;
	membership_unref(session->known);
	session->known = made;
	session->fresh = true;
	session->make_next = etcd_now() + MAKE_PAUSE + MAKE_FACTOR * (etcd_now() - begin);
	if (whole)
		session->hold_until = begin + session->settings->ttl;
	/* It may have been deleted while there was no watch. */
	if (whole && !membership_member(made, session->settings->self))
		presence_recheck(session);
	consider(session, begin);
}

/* Tell the map in use whether this member is isolated. */
static void update_isolation(struct session *session, uint64_t now)
{
	struct cluster_status *status = &session->status;
	bool isolated = now >= session->presence.valid_until ||
			(status->isolated && session->view.state != VIEW_WATCHES);
	bool told = isolated && session->settings->isolated_misses;
	const struct membership *map;
	struct error error;

	if (isolated != status->isolated)
		log_write(isolated ? LOG_WARNING : LOG_NOTICE, "cluster '%s': %s",
			  session->settings->name,
			  isolated ? "this member is isolated: its lease has expired"
				   : "this member is no longer isolated");
	status->isolated = isolated;
	if (!session->map || session->map->isolated == told)
		return;
	map = make(session, session->map, NULL, &error);
	if (map)
		publish(session, map);
}

/* --- steps */

int session_open(struct session *session, const struct cluster_settings *settings,
		 struct error *error)
{
	*session = (struct session){ .settings = settings };
	if (saved_map_open(&session->saved, settings->state, settings->name))
		return error_set(error, "%s: the path is too long", settings->state);
	session->etcd = etcd_new(&settings->etcd, error);
	if (!session->etcd)
		return -1;
	session->status.endpoint = etcd_endpoint(session->etcd);
	session->presence.valid_until = etcd_now() + settings->ttl;
	session->view.whole = true;
	return 0;
}

void session_read(struct session *session)
{
	const struct cluster_settings *settings = session->settings;
	const struct membership_head now = {
		.cluster = settings->name,
		.self = settings->self,
		.leased = settings->isolated_misses,
	};
	struct error error;
	const struct membership *map =
		saved_map_read(&session->saved, &now, &session->presence.lease, &error);

	if (map) {
		session->view.revision = map->revision;
		session->status.confirmed = map->as_of;
		publish(session, map);
	} else if (error.text[0]) {
		session->saved.failure = error;
	}
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Milliseconds until something is due, at most `most`. */
static unsigned int wait_time(const struct session *session, unsigned int most)
{
	uint64_t now = etcd_now(), due = sooner(now + most, view_due(session));

	if (!session->presence.asked)
		due = sooner(due, session->presence.next);
	if (session->fresh && session->hold_until > now)
		due = sooner(due, session->hold_until);
	if (!session->status.isolated)
		due = sooner(due, session->presence.valid_until);
	if (session->saved.running)
		due = sooner(due, now + FILE_POLL);
	else if (session->saved.map)
		due = sooner(due, session->saved.next);
	return due > now ? (unsigned int)(due - now) : 0;
}

/* Log an error of the file when it is another one. */
static void tell_file_error(struct session *session)
{
	const struct error *failure = &session->saved.failure;
	struct error *told = &session->status.state_error;

	if (strcmp(told->text, failure->text) == 0)
		return;
	*told = *failure;
	if (told->text[0])
		log_write(LOG_WARNING, "cluster '%s': %s", session->settings->name, told->text);
}

void session_step(struct session *session, unsigned int most)
{
	struct cluster_status *status = &session->status;
	uint64_t now;

	etcd_run(session->etcd, wait_time(session, most));
	now = etcd_now();
	presence_step(session, now);
	view_step(session, now);
	consider(session, now);
	update_isolation(session, now);
	status->saved = saved_map_step(&session->saved, now) && session->map;
	status->endpoint = etcd_endpoint(session->etcd);
	tell_file_error(session);
}

void session_close(struct session *session, bool leaves, unsigned int most)
{
	uint64_t now = etcd_now(), end = now + most;

	etcd_drop(session->etcd, NULL);
	if (leaves && session->presence.lease && session->status.connected) {
		presence_leave(session);
		for (; session->presence.lease && now < end; now = etcd_now())
			etcd_run(session->etcd, (unsigned int)(end - now));
	}
	if (leaves && session->map)
		saved_map_put(&session->saved, session->map, session->presence.lease);
	saved_map_close(&session->saved);
	view_end(session);
	etcd_free(session->etcd);
	membership_unref(session->known);
	membership_unref(session->map);
}
