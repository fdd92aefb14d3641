// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "icpctl/plan_map.h"
#include "icp/opcode.h"
#include "lib/escape.h"

#define WEIGHT_DEFAULT 100
#define LINE_SIZE 16384

/* Set a key of the map, or with `value` NULL delete it. The value is freed. */
static int change_key(struct membership_changes *changes, const char *head, const char *rest,
		      size_t length, char *value, struct error *error)
{
	size_t used = strlen(head);
	char *key = icpctl_must(malloc(used + length + 1));
	int result;

	memcpy(stpcpy(key, head), rest, length);
	result = membership_changes_add(changes, key, used + length, value,
					value ? strlen(value) : 0, error);
	free(key);
	free(value);
	return result;
}

static int set_member(struct membership_changes *changes, const char *name, unsigned long weight,
		      struct error *error)
{
	const struct cluster_member member = {
		.name = name,
		.weight = (unsigned int)weight,
		.version = "",
		.addresses = "",
	};

	if (!membership_is_member_name(name, strlen(name)))
		return error_set(
			error,
			"'%s' must be a name of 1 to %u of A-Za-z0-9._-, and not a verdict's", name,
			MEMBERSHIP_NAME_MAX);
	return change_key(changes, "members/", name, strlen(name),
			  icpctl_must(membership_member_value(&member)), error);
}

/* --- from a file */

/* Read a line of a list of members. */
static int read_member(struct membership_changes *changes, char *line, struct error *error)
{
	static const char white[] = " \t\r\n";
	char *name = strtok_r(line, white, &line);
	char *weight = name ? strtok_r(NULL, white, &line) : NULL;
	unsigned long number = WEIGHT_DEFAULT;

	if (!name || *name == '#')
		return 0;
	if ((weight && !icpctl_number(weight, 1, MEMBERSHIP_WEIGHT_MAX, &number)) ||
	    strtok_r(NULL, white, &line))
		return error_set(error, "must be NAME or NAME WEIGHT, with a weight from 1 to %u",
				 MEMBERSHIP_WEIGHT_MAX);
	return set_member(changes, name, number, error);
}

static const struct membership *read_list(FILE *file, const char *cluster, struct error *error)
{
	struct membership_changes *changes = icpctl_must(membership_changes_new(true));
	const struct membership_head head = { .cluster = cluster ? cluster : "", .self = "" };
	const struct membership *map = NULL;
	char line[LINE_SIZE];
	size_t lines = 0;
	int result = 0;

	while (!result && fgets(line, sizeof(line), file)) {
		lines++;
		result = read_member(changes, line, error);
		if (result)
			error_prefix(error, "line %zu: ", lines);
	}
	if (!result && ferror(file))
		result = error_set(error, "%s", strerror(errno));
	if (!result)
		map = membership_make(NULL, changes, &head, error);
	if (map && map->member_count != membership_changes_count(changes)) {
		error_set(error, "a member is listed twice");
		membership_unref(map);
		map = NULL;
	}
	membership_changes_free(changes);
	return map;
}

/* Read the name of the cluster in the first line of a saved map, for free(). NULL: it has none. */
static char *read_cluster(FILE *file)
{
	char line[LINE_SIZE] = "";
	json_t *head = fgets(line, sizeof(line), file) ? json_loads(line, 0, NULL) : NULL;
	const char *name = json_string_value(json_object_get(head, "cluster"));
	char *copy = name ? icpctl_must(strdup(name)) : NULL;

	json_decref(head);
	rewind(file);
	return copy;
}

static const struct membership *read_saved(FILE *file, const char *cluster, struct error *error)
{
	char *saved = cluster ? NULL : read_cluster(file);
	uint64_t lease;
	const struct membership_head now = {
		.cluster = cluster ? cluster
			   : saved ? saved
				   : "",
		.self = "",
	};
	const struct membership *map = membership_read(file, &now, &lease, error);

	free(saved);
	return map;
}

const struct membership *plan_map_read(const char *path, const char *cluster, struct error *error)
{
	FILE *file = fopen(path, "re");
	const struct membership *map = NULL;
	int first = file ? getc(file) : EOF;

	if (!file || (first == EOF && ferror(file)) || fseek(file, 0, SEEK_SET)) {
		error_set(error, "%s", strerror(errno));
	} else {
		map = first == '{' ? read_saved(file, cluster, error)
				   : read_list(file, cluster, error);
	}
	if (file)
		fclose(file);
	if (!map)
		error_prefix(error, "%s: ", path);
	return map;
}

/* --- from the daemon */

#define PAGE 5000    /* assignments that are asked for at a time */
#define ATTEMPTS 100 /* to read all pages of one map, where the next changes it meanwhile */

/* Find a cluster of the daemon, or the only one. NULL after reporting. */
static const json_t *find_cluster(struct icpctl *ctl, const json_t *clusters, const char *name)
{
	const json_t *cluster, *found = NULL;
	size_t i, count = json_array_size(clusters);

	json_array_foreach (clusters, i, cluster)
		if (name ? strcmp(icpctl_string(cluster, "name"), name) == 0 : count == 1)
			found = cluster;
	if (found)
		return found;
	if (name)
		icpctl_fail(ctl, ICPCTL_REFUSED,
			    "there is no cluster '%s'; `icpctl cluster status` lists them", name);
	else if (count)
		icpctl_fail(ctl, ICPCTL_USAGE, "there are %zu clusters; name one with --cluster",
			    count);
	else
		icpctl_fail(ctl, ICPCTL_REFUSED,
			    "the daemon has no cluster; name the members with --members");
	return NULL;
}

/* Note a name of the list of drained members. */
static int note_drained(struct membership_changes *changes, const char *name, struct error *error)
{
	return change_key(changes, "drained/", name, strlen(name), icpctl_must(strdup("{}")),
			  error);
}

static int note_members(struct membership_changes *changes, const json_t *cluster,
			struct error *error)
{
	const json_t *member, *name;
	size_t i;

	json_array_foreach (json_object_get(cluster, "list"), i, member) {
		const char *text = icpctl_string(member, "name");

		if (set_member(changes, text, (unsigned long)icpctl_integer(member, "weight"),
			       error) ||
		    (json_is_true(json_object_get(member, "drained")) &&
		     note_drained(changes, text, error)))
			return -1;
	}
	json_array_foreach (json_object_get(cluster, "drained"), i, name)
		if (json_is_string(name) && note_drained(changes, json_string_value(name), error))
			return -1;
	return 0;
}

/* Note the assignments of a page; *last becomes the last prefix, as the daemon writes it. */
static int note_assignments(struct membership_changes *changes, const json_t *page, char **last,
			    struct error *error)
{
	const json_t *one;
	size_t i;

	json_array_foreach (json_object_get(page, "assignments"), i, one) {
		const char *prefix = icpctl_string(one, "prefix");
		json_t *value = json_copy((json_t *)one);
		size_t length;
		char *bytes = icpctl_unescape(prefix, &length);
		int result;

		json_object_del(value, "prefix");
		result = change_key(changes, "assign/", bytes, length,
				    icpctl_must(json_dumps(value, JSON_COMPACT)), error);
		json_decref(value);
		free(bytes);
		free(*last);
		*last = icpctl_must(strdup(prefix));
		if (result)
			return -1;
	}
	return 0;
}

/* Ask for a page of assignments behind a prefix. Returns an exit status. */
static int ask_page(struct icpctl *ctl, const char *cluster, const char *last, json_t **page)
{
	char *name = icpctl_encode(cluster), *after = icpctl_encode(last ? last : "");
	char *resource = icpctl_resource("/v1/clusters/assignments?cluster=%s&limit=%d%s%s", name,
					 PAGE, last ? "&after=" : "", after);
	int status = icpctl_ask(ctl, "GET", resource, NULL, page, NULL);

	free(resource);
	free(after);
	free(name);
	return status;
}

/*
 * Read all assignments, in pages. Returns an exit status; *same becomes false if they are not all of the
 * map with this revision.
 */
static int ask_assignments(struct icpctl *ctl, const char *cluster, json_int_t revision,
			   struct membership_changes *changes, bool *same)
{
	char *last = NULL;
	bool more = true;
	int status = ICPCTL_OK;
	struct error error;

	for (*same = true; more && *same && status == ICPCTL_OK;) {
		json_t *page;

		status = ask_page(ctl, cluster, last, &page);
		if (status)
			break;
		*same = icpctl_integer(page, "revision") == revision;
		more = json_array_size(json_object_get(page, "assignments")) == PAGE;
		if (note_assignments(changes, page, &last, &error))
			status = icpctl_fail(ctl, ICPCTL_REFUSED, "%s", error.text);
		json_decref(page);
	}
	free(last);
	return status;
}

/* Ask once for all of a map. *map is NULL if it has changed meanwhile. */
static int ask_map(struct icpctl *ctl, const char *name, const struct membership **map)
{
	struct membership_changes *changes;
	const json_t *cluster;
	json_t *reply;
	json_int_t revision;
	bool same = false;
	struct error error;
	int status = icpctl_ask(ctl, "GET", "/v1/clusters", NULL, &reply, NULL);

	if (status)
		return status;
	cluster = find_cluster(ctl, json_object_get(reply, "clusters"), name);
	if (!cluster) {
		json_decref(reply);
		return name || json_array_size(json_object_get(reply, "clusters")) == 0
			       ? ICPCTL_REFUSED
			       : ICPCTL_USAGE;
	}
	changes = icpctl_must(membership_changes_new(true));
	name = icpctl_string(cluster, "name");
	revision = icpctl_integer(cluster, "revision");
	if (note_members(changes, cluster, &error))
		status = icpctl_fail(ctl, ICPCTL_REFUSED, "%s", error.text);
	else
		status = ask_assignments(ctl, name, revision, changes, &same);
	if (status == ICPCTL_OK && same) {
		const struct membership_head head = { .cluster = name, .self = "" };

		*map = membership_make(NULL, changes, &head, &error);
		if (!*map)
			status = icpctl_fail(ctl, ICPCTL_REFUSED, "%s", error.text);
	}
	membership_changes_free(changes);
	json_decref(reply);
	return status;
}

int plan_map_ask(struct icpctl *ctl, const char *cluster, const struct membership **map)
{
	*map = NULL;
	for (int i = 0; i < ATTEMPTS; i++) {
		int status = ask_map(ctl, cluster, map);

		if (status || *map)
			return status;
	}
	return icpctl_fail(
		ctl, ICPCTL_REFUSED,
		"the map of the cluster changes all the time; save it, and use --members");
}

/* --- changes */

static int check_member(const struct membership *map, const char *name, struct error *error)
{
	return membership_member(map, name) ? 0 : error_set(error, "there is no such member");
}

static bool is_drained(const struct membership *map, const char *name)
{
	for (size_t i = 0; i < map->drained_count; i++)
		if (strcmp(map->drained[i], name) == 0)
			return true;
	return false;
}

static int change_weight(struct membership_changes *changes, const struct plan_change *change,
			 struct error *error)
{
	unsigned long weight;

	if (!icpctl_number(change->value, 1, MEMBERSHIP_WEIGHT_MAX, &weight))
		return error_set(error, "the weight '%s' must be a number from 1 to %u",
				 change->value, MEMBERSHIP_WEIGHT_MAX);
	return set_member(changes, change->text, weight, error);
}

static int change_assignment(struct membership_changes *changes, const struct plan_change *change,
			     struct error *error)
{
	const char *equals = strrchr(change->text, '=');
	struct cluster_assignment assignment = { .prefix = NULL };
	char *prefix;
	size_t length;
	int result;

	if (!equals || !membership_is_name(equals + 1, strlen(equals + 1)))
		return error_set(error, "must be PREFIX=MEMBER or PREFIX=VERDICT");
	assignment.verdict = verdict_from_name(equals + 1, strlen(equals + 1));
	assignment.member = assignment.verdict == ICP_OP_INVALID ? equals + 1 : NULL;
	prefix = icpctl_must(unescape(change->text, equals - change->text, &length));
	result = change_key(changes, "assign/", prefix, length,
			    icpctl_must(membership_assignment_value(&assignment)), error);
	free(prefix);
	return result;
}

static int end_assignment(struct membership_changes *changes, const struct membership *map,
			  const char *text, struct error *error)
{
	size_t length;
	char *prefix = icpctl_unescape(text, &length);
	int result = assignments_find(&map->assignments, prefix, length)
			     ? change_key(changes, "assign/", prefix, length, NULL, error)
			     : error_set(error, "that prefix is not assigned");

	free(prefix);
	return result;
}

static int apply(struct membership_changes *changes, const struct membership *map,
		 const struct plan_change *change, struct error *error)
{
	const char *text = change->text;
	size_t length = strlen(text);

	switch (change->kind) {
	case PLAN_WITHOUT:
		return check_member(map, text, error)
			       ? -1
			       : change_key(changes, "members/", text, length, NULL, error);
	case PLAN_WITH:
		return change_weight(changes, change, error);
	case PLAN_ASSIGN:
		return change_assignment(changes, change, error);
	case PLAN_UNASSIGN:
		return end_assignment(changes, map, text, error);
	case PLAN_DRAIN:
		return check_member(map, text, error)
			       ? -1
			       : change_key(changes, "drained/", text, length,
					    icpctl_must(strdup("{}")), error);
	default:
		return is_drained(map, text)
			       ? change_key(changes, "drained/", text, length, NULL, error)
			       : error_set(error, "that member is not drained");
	}
}

/* Prefixes may be assigned to members that come with the same plan. */
static int check_assigned(const struct membership *map, const struct plan_change *change,
			  struct error *error)
{
	const char *owner = strrchr(change->text, '=') + 1;

	if (verdict_from_name(owner, strlen(owner)) != ICP_OP_INVALID ||
	    membership_member(map, owner))
		return 0;
	return error_set(error,
			 "'%s' is neither a member nor a verdict, which can be " VERDICT_NAMES,
			 owner);
}

/* Make the map. *at is the change that an error is about, or `count`. */
static const struct membership *make_map(const struct membership *map,
					 struct membership_changes *list,
					 const struct plan_change *changes, size_t count,
					 size_t *at, struct error *error)
{
	const struct membership_head head = { map->cluster, map->self, map->revision, map->as_of };
	const struct membership *after;

	for (*at = 0; *at < count; ++*at)
		if (apply(list, map, &changes[*at], error))
			return NULL;
	after = membership_make(map, list, &head, error);
	for (*at = 0; after && *at < count; ++*at) {
		if (changes[*at].kind != PLAN_ASSIGN ||
		    check_assigned(after, &changes[*at], error) == 0)
			continue;
		membership_unref(after);
		return NULL;
	}
	*at = count;
	return after;
}

const struct membership *plan_map_change(const struct membership *map,
					 const struct plan_change *changes, size_t count,
					 struct error *error)
{
	static const char *const names[] = {
		[PLAN_WITHOUT] = "without",   [PLAN_WITH] = "with",   [PLAN_ASSIGN] = "assign",
		[PLAN_UNASSIGN] = "unassign", [PLAN_DRAIN] = "drain", [PLAN_UNDRAIN] = "undrain",
	};
	struct membership_changes *list = icpctl_must(membership_changes_new(false));
	size_t at;
	const struct membership *after = make_map(map, list, changes, count, &at, error);

	membership_changes_free(list);
	if (!after && at < count)
		error_prefix(error, "--%s '%s': ", names[changes[at].kind], changes[at].text);
	return after;
}
