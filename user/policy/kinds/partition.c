// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The members of a cluster divide the URLs among themselves. Each URL has an owner and successors in
 * an order that all members agree on (cluster/order.h): the owner gives `verdict`, the others give
 * `others`, the first `depth` - 1 of them with their place as the cost, so that a cache takes the
 * next one if the owner does not reply.
 *
 * A prefix that is assigned to a member has that member as its owner, and the successors of the
 * prefix as a key; so all URLs below it have the same successors. A prefix may have a verdict
 * instead, which all members give. The longest prefix decides.
 *
 * Assigned prefixes are texts like those of the kind `prefix`. All other URLs are looked up in a table
 * of this member's places (partition.h).
 */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/order.h"
#include "cluster/owners.h"
#include "cluster/registry.h"
#include "icp/opcode.h"
#include "lib/byteset.h"
#include "policy/key.h"
#include "policy/kinds.h"
#include "policy/url.h"

#define DEPTH_DEFAULT 3
#define WEIGHT_DEFAULT 100

struct partition_state {
	struct policy_partition partition;
	struct partition_line *lines;
	const struct membership *map; /* NULL: that of the cluster is not known yet */
	struct owners *owners;	      /* the prefixes have this member's verdicts */
};

/* --- the map of members that are listed in the configuration */

static int wrong(const struct spec_value *value, struct error *error, const char *why)
{
	return error_set(error, "%s: '%s' %s", value->where, value->text, why);
}

/* Add a key and a value of JSON, which is freed. NULL: out of memory. */
static int add_key(struct membership_changes *changes, const char *folder, const char *name,
		   size_t length, char *value, struct error *error)
{
	char key[MEMBERSHIP_PREFIX_MAX + 16];
	size_t used = snprintf(key, sizeof(key), "%s/", folder);
	int result;

	if (!value)
		return error_set(error, "out of memory");
	memcpy(key + used, name, length);
	result = membership_changes_add(changes, key, used + length, value, strlen(value), error);
	free(value);
	return result;
}

/* Read a member: NAME, or NAME WEIGHT. */
static int read_member(struct membership_changes *changes, const struct spec_value *value,
		       struct error *error)
{
	size_t length = strcspn(value->text, " ");
	const char *rest = value->text + length + strspn(value->text + length, " ");
	char name[MEMBERSHIP_NAME_MAX + 1];
	struct cluster_member member = {
		.name = name,
		.weight = WEIGHT_DEFAULT,
		.version = "",
		.addresses = "",
	};
	long weight;
	struct error why;

	if (!membership_is_member_name(value->text, length))
		return wrong(
			value, error,
			"is not a member; write a name of 1 to 64 letters, digits, dots, hyphens "
			"and underscores, which is not a verdict's, and optionally its weight, "
			"as in \"origin-b 200\"");
	snprintf(name, sizeof(name), "%.*s", (int)length, value->text);
	if (*rest) {
		if (parse_number(rest, 1, MEMBERSHIP_WEIGHT_MAX, &weight, &why))
			return error_set(error, "%s: the weight in '%s': %s", value->where,
					 value->text, why.text);
		member.weight = weight;
	}
	if (add_key(changes, "members", value->text, length, membership_member_value(&member),
		    &why))
		return error_set(error, "%s: '%s': %s", value->where, value->text, why.text);
	return 0;
}

/* Read an assignment: PREFIX MEMBER, or PREFIX VERDICT. */
static int read_assignment(struct membership_changes *changes, const struct spec_value *value,
			   struct error *error)
{
	size_t length = strcspn(value->text, " ");
	const char *owner = value->text + length + strspn(value->text + length, " ");
	struct cluster_assignment assignment = {
		.member = owner,
		.verdict = verdict_from_name(owner, strlen(owner)),
	};
	struct error why;

	if (!length || !*owner || length > MEMBERSHIP_PREFIX_MAX)
		return wrong(
			value, error,
			"assigns nothing; write a prefix of URLs of at most 1024 bytes, a space, "
			"and a member or a verdict, as in \"http://www.example.org/admin/ "
			"origin-c\"");
	if (assignment.verdict != ICP_OP_INVALID)
		assignment.member = NULL;
	else if (!membership_is_member_name(owner, strlen(owner)))
		return error_set(error,
				 "%s: '%s' is neither one of the 'members' nor a verdict, which "
				 "can be " VERDICT_NAMES,
				 value->where, owner);
	if (add_key(changes, "assign", value->text, length,
		    membership_assignment_value(&assignment), &why))
		return error_set(error, "%s: '%s': %s", value->where, value->text, why.text);
	return 0;
}

static int compare_values(const void *a, const void *b)
{
	const struct spec_value *const *left = a, *const *right = b;
	const char *first = (*left)->text, *second = (*right)->text;
	int order = byteset_compare(first, strcspn(first, " "), second, strcspn(second, " "));

	return order ? order : (*left > *right) - (*left < *right);
}

/* Refuse a list in which the first word of two values is the same. */
static int check_twice(const struct spec_setting *list, struct error *error)
{
	const struct spec_value **sorted = calloc(list->count + 1, sizeof(*sorted));
	int result = 0;

	if (!sorted)
		return error_set(error, "out of memory");
	for (size_t i = 0; i < list->count; i++)
		sorted[i] = &list->values[i];
	qsort(sorted, list->count, sizeof(*sorted), compare_values);
	for (size_t i = 1; i < list->count && !result; i++) {
		size_t length = strcspn(sorted[i]->text, " ");

		if (strcspn(sorted[i - 1]->text, " ") == length &&
		    memcmp(sorted[i - 1]->text, sorted[i]->text, length) == 0)
			result = error_set(error, "%s: '%.*s' is listed twice, also at %s",
					   sorted[i]->where, (int)length, sorted[i]->text,
					   sorted[i - 1]->where);
	}
	free(sorted);
	return result;
}

static int read_list(struct membership_changes *changes, const struct spec_setting *list,
		     int (*read)(struct membership_changes *changes, const struct spec_value *value,
				 struct error *error),
		     struct error *error)
{
	if (!list)
		return 0;
	for (size_t i = 0; i < list->count; i++)
		if (read(changes, &list->values[i], error))
			return -1;
	return check_twice(list, error);
}

/* Check that this member, and the owners of assigned prefixes, are in the list of members. */
static int check_names(const struct policy_spec *spec, const struct membership *map,
		       struct error *error)
{
	const struct spec_setting *assign = policy_spec_find(spec, "assign");
	const struct spec_setting *member = policy_spec_find(spec, "member");

	for (size_t i = 0; assign && i < assign->count; i++) {
		const char *text = assign->values[i].text;
		const char *owner = text + strcspn(text, " ");

		owner += strspn(owner, " ");
		if (verdict_from_name(owner, strlen(owner)) == ICP_OP_INVALID &&
		    !membership_member(map, owner))
			return error_set(error,
					 "%s: '%s' is neither one of the 'members' nor a verdict, "
					 "which can be " VERDICT_NAMES,
					 assign->values[i].where, owner);
	}
	if (membership_member(map, map->self))
		return 0;
	return error_set(error,
			 "%s: policy '%s': '%s' is not one of the 'members'; set 'member' to the "
			 "name of this member%s",
			 member ? member->values[0].where : spec->where, spec->name, map->self,
			 member ? "" : ", which is the host's by default");
}

/* Make the map. Returns NULL with an error. */
static const struct membership *list_members(const struct policy_spec *spec, struct error *error)
{
	const struct spec_setting *members = policy_spec_find(spec, "members");
	struct membership_changes *changes = membership_changes_new(true);
	const struct spec_value *value = NULL;
	const struct membership *map = NULL;
	char host[HOST_NAME_MAX + 1] = "";
	struct membership_head head = { .cluster = "", .self = host };
	int result = -1;

	gethostname(host, sizeof(host) - 1);
	if (!changes)
		error_set(error, "out of memory");
	else if (policy_spec_text(spec, "member", &value, error) >= 0)
		result = read_list(changes, members, read_member, error);
	if (!result)
		result = read_list(changes, policy_spec_find(spec, "assign"), read_assignment,
				   error);
	if (!result) {
		head.self = value ? value->text : host;
		map = membership_make(NULL, changes, &head, error);
	}
	membership_changes_free(changes);
	if (map && check_names(spec, map, error)) {
		membership_unref(map);
		return NULL;
	}
	return map;
}

/* --- from a map to places */

/* The place of this member in an assignment. Usually there is no need to look for the owner. */
static unsigned int assigned_place(const struct partition_state *state, size_t self,
				   const struct cluster_assignment *assigned)
{
	const struct order *order = state->owners->order;
	uint32_t slot = order_text_slot(order, assigned->prefix, assigned->length);
	unsigned int depth = state->partition.depth;
	unsigned int place = partition_place(&state->lines[slot / PARTITION_LINE_SLOTS], slot);

	if (place == depth && strcmp(assigned->member, state->map->self) != 0)
		return depth;
	return order_place_behind(order, slot, self, owners_member(state->owners, assigned->member),
				  place, depth);
}

static struct icp_verdict assigned_verdict(const struct partition_state *state, size_t self,
					   const struct cluster_assignment *assigned)
{
	if (!assigned->member)
		return (struct icp_verdict){ assigned->verdict, ICP_NO_COST };
	return state->partition.verdicts[assigned_place(state, self, assigned)];
}

/* Compute all places. -1: out of memory. */
static int fill_places(struct partition_state *state)
{
	static const struct membership unknown = { .cluster = "", .self = "" };
	const struct membership *map = state->map;
	const struct cluster_assignment *one;
	struct assignment_cursor cursor;
	size_t self = ORDER_NO_MEMBER;

	state->owners = owners_new(map ? map : &unknown);
	if (!state->owners)
		return -1;
	if (!map)
		return 0;
	if (!map->isolated)
		self = owners_member(state->owners, map->self);
	state->partition.leased = map->leased;
	state->partition.hashed.seed = order_seed(map->cluster);
	state->lines = aligned_alloc(PREFIX_LINE, PARTITION_LINES * sizeof(*state->lines));
	state->partition.lines = state->lines;
	if (!state->lines)
		return -1;
	order_fill(state->owners->order, self, state->partition.depth, state->lines);
	cursor = assignments_begin(&map->assignments);
	for (size_t i = 0; (one = assignments_next(&cursor)); i++) {
		struct icp_verdict verdict = assigned_verdict(state, self, one);

		byteset_set(state->owners->prefixes, i, verdict.opcode, verdict.cost);
	}
	return 0;
}

/* --- the kind */

static int read_verdicts(struct policy *policy, const struct policy_spec *spec,
			 struct policy_partition *partition, struct error *error)
{
	enum icp_opcode others = ICP_OP_MISS;
	long depth = DEPTH_DEFAULT;

	if (policy_spec_verdict(spec, "others", &others, error) < 0 ||
	    policy_spec_number(spec, "depth", 1, PARTITION_DEPTH_MAX, &depth, error) < 0)
		return -1;
	if (policy->negate)
		return error_set(error,
				 "%s: policy '%s': 'not' has no meaning for a partition, which "
				 "gives a verdict to every URL; exchange 'verdict' and 'others'",
				 spec->where, spec->name);
	if (policy->cost != ICP_NO_COST)
		return error_set(error,
				 "%s: policy '%s': the costs of a partition are the places of the "
				 "successors; leave 'cost' out",
				 spec->where, spec->name);
	if (policy->verdict == ICP_OP_INVALID)
		policy->verdict = ICP_OP_HIT;
	partition->depth = depth;
	partition->verdicts[0] = (struct icp_verdict){ policy->verdict, ICP_NO_COST };
	for (long place = 1; place < depth; place++)
		partition->verdicts[place] = (struct icp_verdict){ others, place };
	partition->verdicts[depth] = (struct icp_verdict){ others, ICP_NO_COST };
	return 0;
}

/* Exactly one of `cluster` and `members` tells who the members are. */
static int read_map(struct partition_state *state, const struct policy_spec *spec,
		    struct error *error)
{
	static const char *const listed[] = { "members", "member", "assign" };
	const struct spec_value *cluster = NULL;

	if (policy_spec_text(spec, "cluster", &cluster, error) < 0)
		return -1;
	if (!cluster && !policy_spec_find(spec, "members"))
		return error_set(error,
				 "%s: policy '%s' has no members; list them in 'members', or name "
				 "a 'cluster'",
				 spec->where, spec->name);
	if (!cluster) {
		state->map = list_members(spec, error);
		return state->map ? 0 : -1;
	}
	for (size_t i = 0; i < sizeof(listed) / sizeof(listed[0]); i++)
		if (policy_spec_find(spec, listed[i]))
			return error_set(error,
					 "%s: policy '%s': '%s' comes from cluster '%s'; leave it "
					 "out here",
					 spec->where, spec->name, listed[i], cluster->text);
	state->map = cluster_membership(cluster->text);
	return 0;
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct partition_state *state = calloc(1, sizeof(*state));

	if (!state)
		return error_set(error, "out of memory");
	policy->state = state;
	if (read_verdicts(policy, spec, &state->partition, error) ||
	    policy_spec_key(spec, &state->partition.hashed.form, error) ||
	    read_map(state, spec, error))
		return -1;
	return fill_places(state) ? error_set(error, "out of memory") : 0;
}

static void destroy(struct policy *policy)
{
	struct partition_state *state = policy->state;

	free(state->lines);
	owners_free(state->owners);
	membership_unref(state->map);
	free(state);
}

static struct policy_match match(const struct policy *policy, const struct query *query)
{
	const struct partition_state *state = policy->state;
	struct byteset_member assigned;
	struct icp_verdict verdict;
	struct url_key key;
	uint32_t slot;

	if (byteset_longest(state->owners->prefixes, query->url, query->length, &assigned)) {
		verdict = (struct icp_verdict){ assigned.verdict, assigned.cost };
	} else if (!state->map) {
		return (struct policy_match){ .verdict = ICP_OP_INVALID };
	} else {
		key = url_key_of(&state->partition.hashed.form, query->url, query->length);
		slot = order_url_slot(state->owners->order, query->url, query->length, key);
		verdict = state->partition.verdicts[partition_place(
			&state->lines[slot / PARTITION_LINE_SLOTS], slot)];
	}
	return (struct policy_match){
		.verdict = verdict.opcode,
		.has_cost = verdict.cost != ICP_NO_COST,
		.cost = verdict.cost,
	};
}

static const struct byteset *texts(const struct policy *policy)
{
	const struct partition_state *state = policy->state;

	return state->owners->prefixes;
}

static const struct policy_partition *partition(const struct policy *policy)
{
	const struct partition_state *state = policy->state;

	return state->map ? &state->partition : NULL;
}

/* --- for operators */

static void add_text(char *text, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void add_text(char *text, size_t size, const char *format, ...)
{
	size_t used = strlen(text);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text + used, size - used, format, arguments);
	va_end(arguments);
}

static void explain(const struct policy *policy, const struct query *query, char *text, size_t size)
{
	const struct partition_state *state = policy->state;
	size_t members[PARTITION_DEPTH_MAX], count = 0;
	struct ownership found;
	struct url_key key;

	text[0] = '\0';
	if (!state->map)
		return;
	key = url_key_of(&state->partition.hashed.form, query->url, query->length);
	found = owners_find(state->owners, query->url, query->length, &key);
	if (found.assigned)
		add_text(text, size, "prefix %s", found.assigned->prefix);
	else
		add_text(text, size, "key %.*s", (int)(key.end - key.begin),
			 query->url + key.begin);
	if (found.assigned && !found.assigned->member) {
		add_text(text, size, ": a verdict for all members");
	} else {
		count = order_list(state->owners->order, found.slot, found.first, members,
				   state->partition.depth);
		if (!count)
			add_text(text, size, ": no member takes part");
	}
	for (size_t i = 0; i < count; i++)
		add_text(text, size, "%s %s",
			 i == 0	  ? ": owner"
			 : i == 1 ? ", then"
				  : ",",
			 state->map->members[members[i]].name);
	if (state->map->isolated)
		add_text(text, size, "; this member is isolated from the cluster");
	else if (state->map->leased)
		add_text(text, size, "; in the kernel while the daemon lives");
}

static const struct policy_setting settings[] = {
	POLICY_KEY_SETTINGS,
	{ "cluster",
	  "the name of a cluster whose members, of which this host is one, divide the URLs" },
	{ "member", "without 'cluster': the name of this member; default the host's name" },
	{ "members",
	  "without 'cluster': the names of all members, each optionally with its weight (100)",
	  .list = true },
	{ "others", "the verdict if another member owns the URL; default miss" },
	{ "depth",
	  "the number of places, the owner's included, that costs distinguish; default 3" },
	{ "assign",
	  "without 'cluster': prefixes of URLs, each with the member that owns them, or a verdict "
	  "for all",
	  .list = true },
	{ NULL },
};

const struct policy_kind policy_partition_kind = {
	.name = "partition",
	.help = "the members of a cluster divide the URLs; gives 'verdict' for those of this one",
	.basis = POLICY_BASIS_URL,
	.settings = settings,
	.create = create,
	.destroy = destroy,
	.match = match,
	.reading = URL_FORWARD,
	.texts = texts,
	.partition = partition,
	.explain = explain,
};
