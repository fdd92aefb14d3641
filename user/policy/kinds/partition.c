// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The members of a cluster divide the URLs among themselves. Each URL has an owner and successors in
 * an order that all members agree on (cluster/order.h): the owner gives `verdict`, the others give
 * `others`, the first of them with their place as the cost, so that a cache takes the next one if the
 * owner does not reply.
 *
 * A prefix that is assigned to a member has this one as its owner, and the successors that the prefix
 * itself has as a key; so all URLs below it have the same. A prefix may have a verdict instead, which
 * all members give. The longest prefix decides.
 *
 * Assigned prefixes are texts like those of the kind `prefix`. All other URLs are looked up in a table
 * of this member's places (partition.h).
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/order.h"
#include "icp/opcode.h"
#include "lib/byteset.h"
#include "lib/vec.h"
#include "policy/key.h"
#include "policy/kinds.h"
#include "policy/url.h"

#define MEMBER_NAME_MAX 64 /* bytes */
#define DEPTH_DEFAULT 3

struct member {
	char name[MEMBER_NAME_MAX + 1];
	unsigned int weight;
	const struct spec_value *value;
};

/* What is needed to create the policy. */
struct plan {
	const struct policy_spec *spec;
	struct member *members; /* sorted by name */
	size_t count;
};

struct partition_state {
	struct policy_partition partition;
	struct partition_line *lines;
	struct byteset *assigned;
	struct order *order;
	char (*names)[MEMBER_NAME_MAX + 1]; /* of the order's members */
	char *member;			    /* this one's name */
	size_t self;			    /* its number, or ORDER_NO_MEMBER */
};

/* --- the members */

static int wrong(const struct spec_value *value, struct error *error, const char *why)
{
	return error_set(error, "%s: '%s' %s", value->where, value->text, why);
}

#define NAME_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

/* The length of a member's name at the beginning of a text; 0: it is none. */
static size_t name_length(const char *text)
{
	size_t length = strspn(text, NAME_BYTES);

	if (length > MEMBER_NAME_MAX || verdict_from_name(text, length) != ICP_OP_INVALID)
		return 0;
	return length;
}

/* Parse a member, NAME or NAME WEIGHT. */
static int parse_member(const struct spec_value *value, struct member *member, struct error *error)
{
	size_t length = name_length(value->text);
	const char *rest = value->text + length;
	long weight = 100;
	struct error why;

	if (!length || (*rest && *rest != ' '))
		return wrong(value, error,
			     "is no member; write a name of 1 to 64 letters, digits, dots, hyphens "
			     "and underscores, which is no verdict's, and optionally its weight, "
			     "as in \"origin-b 200\"");
	rest += strspn(rest, " ");
	if (*rest && parse_number(rest, 1, ORDER_WEIGHT_MAX, &weight, &why))
		return error_set(error, "%s: the weight of '%.*s': %s", value->where, (int)length,
				 value->text, why.text);
	snprintf(member->name, sizeof(member->name), "%.*s", (int)length, value->text);
	member->weight = weight;
	member->value = value;
	return 0;
}

static int compare_members(const void *a, const void *b)
{
	return strcmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

static int read_members(struct plan *plan, struct error *error)
{
	const struct spec_setting *members = policy_spec_find(plan->spec, "members");

	plan->count = members->count;
	plan->members = calloc(plan->count, sizeof(*plan->members));
	if (!plan->members)
		return error_set(error, "out of memory");
	if (plan->count > ORDER_MEMBERS_MAX)
		return error_set(error, "%s: policy '%s' has %zu members; it can have %u",
				 plan->spec->where, plan->spec->name, plan->count,
				 ORDER_MEMBERS_MAX);
	for (size_t i = 0; i < plan->count; i++)
		if (parse_member(&members->values[i], &plan->members[i], error))
			return -1;
	qsort(plan->members, plan->count, sizeof(*plan->members), compare_members);
	for (size_t i = 1; i < plan->count; i++)
		if (compare_members(&plan->members[i - 1], &plan->members[i]) == 0)
			return error_set(error, "%s: member '%s' is there twice, also at %s",
					 plan->members[i].value->where, plan->members[i].name,
					 plan->members[i - 1].value->where);
	return 0;
}

static int make_order(struct partition_state *state, const struct plan *plan)
{
	state->order = order_new(state->partition.hashed.seed);
	state->names = calloc(plan->count + 1, sizeof(*state->names));
	if (!state->order || !state->names)
		return -1;
	for (size_t i = 0; i < plan->count; i++) {
		memcpy(state->names[i], plan->members[i].name, sizeof(state->names[i]));
		if (order_add(state->order, plan->members[i].name, plan->members[i].weight))
			return -1;
	}
	return 0;
}

/* The number of the member with this name, or ORDER_NO_MEMBER. */
static size_t find_member(const struct partition_state *state, const char *name)
{
	const char *found = bsearch(name, state->names, order_count(state->order),
				    sizeof(*state->names),
				    (int (*)(const void *, const void *))strcmp);

	if (!found)
		return ORDER_NO_MEMBER;
	return (found - state->names[0]) / sizeof(*state->names);
}

/* --- assigned prefixes */

/* Add a prefix that belongs to a member, or has a verdict for all. */
static int add_prefix(struct partition_state *state, const char *prefix, size_t length,
		      size_t owner, enum icp_opcode verdict, unsigned int tag)
{
	struct icp_verdict given = { verdict, ICP_NO_COST };

	if (verdict == ICP_OP_INVALID) {
		uint32_t slot = order_text_slot(state->order, prefix, length);

		given = state->partition.verdicts[order_place(
			state->order, slot, state->self, owner, state->partition.depth)];
	}
	if (byteset_append(state->assigned, prefix, length, given.opcode, tag))
		return -1;
	byteset_set_cost(state->assigned, given.cost);
	return 0;
}

/* Read one line of `assign`: PREFIX MEMBER or PREFIX VERDICT. */
static int read_assignment(struct partition_state *state, const struct spec_value *value,
			   unsigned int tag, struct error *error)
{
	size_t length = strcspn(value->text, " ");
	const char *owner = value->text + length + strspn(value->text + length, " ");
	enum icp_opcode verdict = verdict_from_name(owner, strlen(owner));
	size_t member = find_member(state, owner);

	if (length > URL_MAX)
		return wrong(value, error, "is longer than a URL can be");
	if (!*owner)
		return wrong(value, error,
			     "assigns nothing; write a prefix of URLs, a space, and a member or a "
			     "verdict, as in \"http://www.example.org/admin/ origin-c\"");
	if (verdict == ICP_OP_INVALID && member == ORDER_NO_MEMBER)
		return error_set(error,
				 "%s: '%s' is neither one of the 'members' nor a verdict (" VERDICT_NAMES
				 ")",
				 value->where, owner);
	if (add_prefix(state, value->text, length, member, verdict, tag))
		return error_set(error, "out of memory");
	return 0;
}

static int read_assignments(struct partition_state *state, const struct plan *plan,
			    struct error *error)
{
	const struct spec_setting *assign = policy_spec_find(plan->spec, "assign");
	struct byteset_conflict conflict;

	for (size_t i = 0; assign && i < assign->count; i++)
		if (read_assignment(state, &assign->values[i], i, error))
			return -1;
	switch (byteset_finish(state->assigned, &conflict)) {
	case 0:
		return 0;
	case 1:
		return wrong(&assign->values[conflict.second_tag], error,
			     "assigns a prefix that is assigned otherwise before");
	default:
		return error_set(error, "out of memory");
	}
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

/* The name of this member: that of the host by default. */
static int read_name(struct partition_state *state, const struct policy_spec *spec,
		     struct error *error)
{
	char host[HOST_NAME_MAX + 1] = "";
	const struct spec_value *value = NULL;

	if (policy_spec_text(spec, "member", &value, error) < 0)
		return -1;
	gethostname(host, sizeof(host) - 1);
	state->member = strdup(value ? value->text : host);
	if (!state->member)
		return error_set(error, "out of memory");
	state->self = find_member(state, state->member);
	if (state->self != ORDER_NO_MEMBER)
		return 0;
	return error_set(error,
			 "%s: policy '%s': '%s' is not one of the 'members'; set 'member' to the "
			 "name of this one%s",
			 value ? value->where : spec->where, spec->name, state->member,
			 value ? "" : ", which is the host's by default");
}

static int fill(struct partition_state *state, const struct plan *plan, struct error *error)
{
	size_t size = PARTITION_LINES * sizeof(*state->lines);

	state->lines = aligned_alloc(PREFIX_LINE, size);
	state->assigned = byteset_new();
	if (!state->lines || !state->assigned || make_order(state, plan))
		return error_set(error, "out of memory");
	if (read_name(state, plan->spec, error))
		return -1;
	order_fill(state->order, state->self, state->partition.depth, state->lines);
	state->partition.lines = state->lines;
	return read_assignments(state, plan, error);
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct partition_state *state = calloc(1, sizeof(*state));
	struct plan plan = { .spec = spec };
	int result = -1;

	if (!state)
		return error_set(error, "out of memory");
	policy->state = state;
	state->partition.hashed.seed = order_seed("");
	if (read_verdicts(policy, spec, &state->partition, error) == 0 &&
	    policy_spec_key(spec, &state->partition.hashed.form, error) == 0 &&
	    read_members(&plan, error) == 0)
		result = fill(state, &plan, error);
	free(plan.members);
	return result;
}

static void destroy(struct policy *policy)
{
	struct partition_state *state = policy->state;

	free(state->lines);
	free(state->names);
	free(state->member);
	order_free(state->order);
	byteset_free(state->assigned);
	free(state);
}

static uint32_t find_slot(const struct partition_state *state, const struct query *query)
{
	const struct partition *hashed = &state->partition.hashed;
	const struct url_key key = url_key_of(&hashed->form, query->url, query->length);

	return partition_slot(partition_hash(hashed->seed, &key, (const __u8 *)query->url,
					     query->length));
}

static struct policy_match match(const struct policy *policy, const struct query *query)
{
	const struct partition_state *state = policy->state;
	struct byteset_member assigned;
	struct icp_verdict verdict;

	if (byteset_longest(state->assigned, query->url, query->length, &assigned)) {
		verdict = (struct icp_verdict){ assigned.verdict, assigned.cost };
	} else {
		uint32_t slot = find_slot(state, query);

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

	return state->assigned;
}

static const struct policy_partition *partition(const struct policy *policy)
{
	const struct partition_state *state = policy->state;

	return &state->partition;
}

static const struct policy_setting settings[] = {
	POLICY_KEY_SETTINGS,
	{ "member", "the name of this member; default the host's name" },
	{ "members", "the names of all members, each optionally with its weight (100)",
	  .list = true, .required = true },
	{ "others", "the verdict if another member owns the URL; default miss" },
	{ "depth", "the places, the owner's included, that are told by costs; default 3" },
	{ "assign", "prefixes of URLs, each with the member that owns them, or a verdict for all",
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
};
