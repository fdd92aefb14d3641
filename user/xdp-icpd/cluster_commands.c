// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/registry.h"
#include "cluster/values.h"
#include "icp/opcode.h"
#include "lib/byteset.h"
#include "lib/escape.h"
#include "policy/spec.h"
#include "xdp-icpd/cluster_commands.h"
#include "xdp-icpd/clusters.h"

#define MEMBER_SIZE 300	     /* bytes of a member in a response without its texts, at most */
#define ASSIGNMENT_SIZE 4608 /* the same of an assignment */
#define ASSIGNMENTS_MAX 5000 /* in a response */
#define ASSIGNMENTS_DEFAULT 100

/* --- the state */

static json_t *message(const struct error *error)
{
	return error->text[0] ? control_message(error->text) : json_null();
}

static json_t *age_json(const struct cluster_status *status)
{
	time_t age = time(NULL) - status->confirmed;

	return status->confirmed ? json_integer(age > 0 ? age : 0) : json_null();
}

static json_t *cluster_json(struct cluster *cluster, const struct membership *map)
{
	struct cluster_status status;
	json_t *one;

	cluster_status(cluster, &status);
	one = json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:o, s:I, s:I, s:I}", "name",
			cluster_settings(cluster)->name, "member", cluster_settings(cluster)->self,
			"state", cluster_state(&status), "connected", status.connected,
			"registered", status.registered, "isolated", status.isolated, "age",
			age_json(&status), "members", (json_int_t)(map ? map->member_count : 0),
			"assignments", (json_int_t)(map ? map->assignments.count : 0), "revision",
			(json_int_t)(map ? map->revision : 0));
	json_object_set_new(one, "members_found", json_integer((json_int_t)status.found));
	json_object_set_new(one, "members_min", json_integer((json_int_t)status.floor));
	json_object_set_new(one, "endpoint", control_text(status.endpoint));
	json_object_set_new(one, "lease",
			    status.lease ? json_sprintf("%llx", (unsigned long long)status.lease)
					 : json_null());
	json_object_set_new(one, "failures", json_integer((json_int_t)status.failures));
	json_object_set_new(one, "reads", json_integer((json_int_t)status.reads));
	json_object_set_new(one, "changes", json_integer((json_int_t)status.changes));
	json_object_set_new(one, "bad_keys", json_integer((json_int_t)status.bad_keys));
	json_object_set_new(one, "saved", json_boolean(status.saved));
	json_object_set_new(one, "error", message(&status.error));
	json_object_set_new(one, "bad_key", message(&status.bad_key));
	json_object_set_new(one, "state_error", message(&status.state_error));
	return one;
}

json_t *clusters_json(struct daemon *daemon)
{
	struct cluster *cluster = NULL;
	json_t *list = json_array();

	while ((cluster = daemon_next_cluster(daemon, cluster))) {
		const struct membership *map = cluster_membership(cluster_settings(cluster)->name);

		json_array_append_new(list, cluster_json(cluster, map));
		membership_unref(map);
	}
	return list;
}

/* Bytes of the members in a response, at most: a byte of a text becomes \\xHH. */
static size_t members_size(const struct membership *map)
{
	size_t size = 0;

	for (size_t i = 0; map && i < map->member_count; i++)
		size += MEMBER_SIZE + (ESCAPE_MAX + 1) * (strlen(map->members[i].version) +
							  strlen(map->members[i].addresses));
	return size;
}

static json_t *members_json(const struct membership *map)
{
	json_t *list = json_array();

	for (size_t i = 0; map && i < map->member_count; i++) {
		const struct cluster_member *member = &map->members[i];

		json_array_append_new(
			list, json_pack("{s:s, s:I, s:b, s:o, s:o}", "name", member->name, "weight",
					(json_int_t)member->weight, "drained", member->drained,
					"version", control_text(member->version), "addresses",
					control_text(member->addresses)));
	}
	return list;
}

/* Names that are drained and of no member. */
static json_t *absent_json(const struct membership *map)
{
	json_t *list = json_array();

	for (size_t i = 0; map && i < map->drained_count; i++)
		if (!membership_member(map, map->drained[i]))
			json_array_append_new(list, json_string(map->drained[i]));
	return list;
}

/* Returns false if the response gets too large. */
static bool add_cluster(json_t *list, struct control_request *request, struct cluster *cluster)
{
	const struct membership *map = cluster_membership(cluster_settings(cluster)->name);
	json_t *one;

	if (!control_reserve(request, members_size(map))) {
		membership_unref(map);
		return false;
	}
	one = cluster_json(cluster, map);
	json_object_set_new(one, "list", members_json(map));
	json_object_set_new(one, "drained", absent_json(map));
	json_array_append_new(list, one);
	membership_unref(map);
	return true;
}

void get_clusters(void *context, struct control_request *request)
{
	struct cluster *cluster = NULL;
	json_t *list = json_array();

	while ((cluster = daemon_next_cluster(context, cluster)))
		if (!add_cluster(list, request, cluster)) {
			json_decref(list);
			control_refuse(request, CONTROL_STATUS_OVER_QUOTA,
				       "too many members at once");
			return;
		}
	control_reply(request, json_pack("{s:o}", "clusters", list));
}

/* --- changes */

/* A request that waits for etcd. */
struct waiting {
	struct control_request *request;
	const char *missing; /* the error if there was no such key; NULL: that is none */
};

static void on_changed(void *context, bool found, const struct error *error)
{
	struct waiting *waiting = context;

	if (error)
		control_refuse(waiting->request, CONTROL_STATUS_REFUSED, "%s", error->text);
	else if (waiting->missing && !found)
		control_refuse(waiting->request, CONTROL_STATUS_NOT_FOUND, "%s", waiting->missing);
	else
		control_reply(waiting->request, json_object());
	free(waiting);
}

/* Set or delete a key, whose bytes are those of a head and a rest, and reply when it is done. */
static void change(struct control_request *request, struct cluster *cluster, const char *head,
		   const char *rest, size_t length, const char *value, const char *missing)
{
	struct waiting *waiting = malloc(sizeof(*waiting));
	size_t head_length = strlen(head);
	char *key = malloc(head_length + length + 1);
	struct error error;

	if (!waiting || !key) {
		free(waiting);
		free(key);
		control_reply(request, NULL);
		return;
	}
	*waiting = (struct waiting){ request, missing };
	memcpy(stpcpy(key, head), rest, length);
	if (cluster_change(cluster, key, head_length + length, value, on_changed, waiting,
			   &error)) {
		control_refuse(request, CONTROL_STATUS_OVER_QUOTA, "%s", error.text);
		free(waiting);
	}
	free(key);
}

/* Return the cluster of that name, or the only one. NULL after refusing the request. */
static struct cluster *find(struct daemon *daemon, struct control_request *request,
			    const char *name)
{
	struct cluster *cluster = NULL, *found = NULL;
	unsigned int count = 0;

	while ((cluster = daemon_next_cluster(daemon, cluster)))
		if (!name || strcmp(name, cluster_settings(cluster)->name) == 0) {
			found = cluster;
			count++;
		}
	if (count == 1)
		return found;
	if (count)
		control_refuse(request, CONTROL_STATUS_BAD_REQUEST,
			       "there are %u clusters; name one with --cluster", count);
	else if (name)
		control_refuse(request, CONTROL_STATUS_NOT_FOUND,
			       "there is no cluster '%s'; `icpctl cluster status` lists them",
			       name);
	else
		control_refuse(request, CONTROL_STATUS_NOT_FOUND,
			       "no cluster is configured; see xdp-icp.conf(5)");
	return NULL;
}

static bool has_member(const struct cluster *cluster, const char *name)
{
	const struct membership *map = cluster_membership(cluster_settings(cluster)->name);
	bool found = map && membership_member(map, name);

	membership_unref(map);
	return found;
}

/* Refuse a request that names a member that there is not. */
static void refuse_member(struct control_request *request, const char *name, const char *or_else)
{
	control_refuse(request, CONTROL_STATUS_NOT_FOUND,
		       "there is no member '%s'%s; `icpctl cluster status` lists them", name,
		       or_else);
}

/* Return the value of an assignment to a member or a verdict, for free(), or NULL after refusing. */
static char *assignment_value(const struct cluster *cluster, struct control_request *request,
			      const char *target)
{
	struct cluster_assignment assignment = { .member = target };
	char *value;

	if (!has_member(cluster, target)) {
		assignment.member = NULL;
		assignment.verdict = verdict_from_name(target, strlen(target));
		if (assignment.verdict == ICP_OP_INVALID) {
			refuse_member(request, target, ", nor such a verdict");
			return NULL;
		}
	}
	value = membership_assignment_value(&assignment);
	if (!value)
		control_reply(request, NULL);
	return value;
}

/* Return the bytes of an escaped prefix, for free(), or NULL after refusing the request. */
static char *read_prefix(struct control_request *request, const char *escaped, size_t *length)
{
	char *prefix = escaped ? unescape(escaped, strlen(escaped), length) : NULL;
	struct error error;

	if (prefix && membership_check_prefix(prefix, *length, &error) == 0)
		return prefix;
	if (prefix || !escaped)
		control_refuse(request, CONTROL_STATUS_BAD_REQUEST, "%s",
			       prefix ? error.text : "\"prefix\" is missing; it must be a string");
	else
		control_reply(request, NULL);
	free(prefix);
	return NULL;
}

static const char *text_of(struct control_request *request, const char *name)
{
	return json_string_value(json_object_get(control_body(request), name));
}

void put_assignment(void *context, struct control_request *request)
{
	struct cluster *cluster = find(context, request, text_of(request, "cluster"));
	const char *target = text_of(request, "to");
	char *value = NULL, *prefix = NULL;
	size_t length;

	if (cluster && !target)
		control_refuse(request, CONTROL_STATUS_BAD_REQUEST,
			       "\"to\" is missing; it must be a member or a verdict");
	if (cluster && target)
		prefix = read_prefix(request, text_of(request, "prefix"), &length);
	if (prefix)
		value = assignment_value(cluster, request, target);
	if (value)
		change(request, cluster, "assign/", prefix, length, value, NULL);
	free(value);
	free(prefix);
}

void delete_assignment(void *context, struct control_request *request)
{
	struct cluster *cluster = find(context, request, control_argument(request, "cluster"));
	size_t length;
	char *prefix =
		cluster ? read_prefix(request, control_argument(request, "prefix"), &length) : NULL;

	if (prefix)
		change(request, cluster, "assign/", prefix, length, NULL,
		       "that prefix is not assigned; give it exactly as it was assigned");
	free(prefix);
}

/*
 * Return a page of assignments behind a prefix, or the first ones (NULL), which has the members that
 * their values have in etcd.
 */
static json_t *assignments_json(const struct membership *map, const char *prefix, size_t length,
				long count)
{
	struct assignment_cursor cursor =
		prefix ? assignments_behind(&map->assignments, prefix, length)
		       : assignments_begin(&map->assignments);
	const struct cluster_assignment *one;
	json_t *list = json_array();

	while (count-- > 0 && (one = assignments_next(&cursor))) {
		json_t *json = value_of_assignment(one);

		json_object_set_new(json, "prefix", control_bytes(one->prefix, one->length));
		json_array_append_new(list, json);
	}
	return list;
}

void get_assignments(void *context, struct control_request *request)
{
	struct cluster *cluster = find(context, request, control_argument(request, "cluster"));
	const char *after = control_argument(request, "after");
	const char *limit = control_argument(request, "limit");
	const struct membership *map;
	long count = ASSIGNMENTS_DEFAULT;
	struct error error;
	size_t length = 0;
	char *prefix = NULL;

	if (!cluster)
		return;
	if (limit && parse_number(limit, 1, ASSIGNMENTS_MAX, &count, &error)) {
		control_refuse(request, CONTROL_STATUS_BAD_REQUEST, "\"limit\": %s", error.text);
		return;
	}
	if (after && !(prefix = read_prefix(request, after, &length)))
		return;
	map = cluster_membership(cluster_settings(cluster)->name);
	if (!map)
		control_refuse(request, CONTROL_STATUS_REFUSED,
			       "no map of the cluster is known yet");
	else if (!control_reserve(request, (size_t)count * ASSIGNMENT_SIZE))
		control_refuse(request, CONTROL_STATUS_OVER_QUOTA,
			       "too many assignments at once; a smaller \"limit\" has fewer");
	else
		control_reply(request,
			      json_pack("{s:I, s:I, s:o}", "revision", (json_int_t)map->revision,
					"count", (json_int_t)map->assignments.count, "assignments",
					assignments_json(map, prefix, length, count)));
	membership_unref(map);
	free(prefix);
}

/* A name as a key has it. */
static bool check_name(struct control_request *request, const char *name)
{
	if (name && membership_is_name(name, strlen(name)))
		return true;
	control_refuse(request, CONTROL_STATUS_BAD_REQUEST,
		       "\"member\" is missing; it must be a name of 1 to %u of A-Za-z0-9._-",
		       MEMBERSHIP_NAME_MAX);
	return false;
}

void put_cluster_drain(void *context, struct control_request *request)
{
	struct cluster *cluster = find(context, request, text_of(request, "cluster"));
	const char *name = text_of(request, "member");

	if (!cluster || !check_name(request, name))
		return;
	if (has_member(cluster, name))
		change(request, cluster, "drained/", name, strlen(name), "{}", NULL);
	else
		refuse_member(request, name, "");
}

void delete_cluster_drain(void *context, struct control_request *request)
{
	struct cluster *cluster = find(context, request, control_argument(request, "cluster"));
	const char *name = control_argument(request, "member");

	if (cluster && check_name(request, name))
		change(request, cluster, "drained/", name, strlen(name), NULL,
		       "that member is not drained");
}
