// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "cluster/key_counts.h"
#include "cluster/owners.h"
#include "cluster/plan.h"
#include "icp/opcode.h"
#include "lib/vec.h"

#define VERDICTS 256u
/* Members of both maps, verdicts, and nobody. */
#define PLAN_OWNERS_MAX (2 * MEMBERSHIP_MEMBERS_MAX + VERDICTS + 1)

_Static_assert(PLAN_OWNERS_MAX <= UINT16_MAX, "their numbers are in keys");

struct plan {
	struct url_key_form form;
	struct owners *owners[PLAN_MAPS];
	uint16_t numbers[PLAN_MAPS][OWNERS_MAX]; /* in the result, of a map's owners */
	struct key_counts counts;
	struct plan_result result;
};

static int name_order(const struct membership *const maps[PLAN_MAPS], const size_t next[PLAN_MAPS])
{
	if (next[PLAN_BEFORE] == maps[PLAN_BEFORE]->member_count)
		return 1;
	if (next[PLAN_AFTER] == maps[PLAN_AFTER]->member_count)
		return -1;
	return strcmp(maps[PLAN_BEFORE]->members[next[PLAN_BEFORE]].name,
		      maps[PLAN_AFTER]->members[next[PLAN_AFTER]].name);
}

static void add_owner(struct plan *plan, const char *name)
{
	plan->result.owners[plan->result.owner_count++].name = name;
}

/* Number the members of both maps, by their names, and what else can be an owner. */
static void number_owners(struct plan *plan, const struct membership *const maps[PLAN_MAPS])
{
	struct plan_result *result = &plan->result;
	size_t next[PLAN_MAPS] = { 0 };

	while (next[PLAN_BEFORE] < maps[PLAN_BEFORE]->member_count ||
	       next[PLAN_AFTER] < maps[PLAN_AFTER]->member_count) {
		int order = name_order(maps, next);

		for (int i = 0; i < PLAN_MAPS; i++) {
			const struct cluster_member *member = &maps[i]->members[next[i]];

			if (i == PLAN_BEFORE ? order > 0 : order < 0)
				continue;
			result->owners[result->owner_count].name = member->name;
			result->owners[result->owner_count].members[i] = member;
			plan->numbers[i][next[i]++] = (uint16_t)result->owner_count;
		}
		result->owner_count++;
	}
	for (unsigned int verdict = 0; verdict < VERDICTS; verdict++) {
		if (!icp_is_verdict(verdict))
			continue;
		for (int i = 0; i < PLAN_MAPS; i++)
			plan->numbers[i][OWNER_VERDICT(verdict)] = (uint16_t)result->owner_count;
		add_owner(plan, opcode_name(verdict));
	}
	for (int i = 0; i < PLAN_MAPS; i++)
		plan->numbers[i][OWNER_NOBODY] = (uint16_t)result->owner_count;
	add_owner(plan, "-");
}

struct plan *plan_new(const struct membership *before, const struct membership *after,
		      const struct url_key_form *form)
{
	const struct membership *const maps[PLAN_MAPS] = { before, after };
	struct plan *plan = calloc(1, sizeof(*plan));

	if (!plan)
		return NULL;
	plan->form = *form;
	plan->result.owners = calloc(PLAN_OWNERS_MAX, sizeof(*plan->result.owners));
	for (int i = 0; i < PLAN_MAPS; i++)
		plan->owners[i] = owners_new(maps[i]);
	if (plan->result.owners && plan->owners[PLAN_BEFORE] && plan->owners[PLAN_AFTER]) {
		number_owners(plan, maps);
		return plan;
	}
	plan_free(plan);
	return NULL;
}

void plan_free(struct plan *plan)
{
	if (!plan)
		return;
	for (int i = 0; i < PLAN_MAPS; i++)
		owners_free(plan->owners[i]);
	key_counts_free(&plan->counts);
	free(plan->result.owners);
	free(plan->result.moves);
	free(plan);
}

int plan_add(struct plan *plan, const char *url, size_t length, struct error *error)
{
	struct url_key key = url_key_of(&plan->form, url, (uint32_t)length);
	uint16_t numbers[PLAN_MAPS];
	char text[UINT16_MAX];

	if (length > sizeof(text))
		return error_set(error, "a URL of %zu bytes", length);
	for (int i = 0; i < PLAN_MAPS; i++) {
		struct ownership found = owners_find(plan->owners[i], url, length, &key);

		numbers[i] = plan->numbers[i][owners_owner(plan->owners[i], &found)];
	}
	for (uint32_t at = key.begin; at < key.end; at++)
		text[at - key.begin] = at < key.lower && url[at] >= 'A' && url[at] <= 'Z'
					       ? url[at] | 0x20
					       : url[at];
	return key_counts_add(&plan->counts, text, key.end - key.begin, numbers[PLAN_BEFORE],
			      numbers[PLAN_AFTER], error);
}

static int compare_owners(const void *left, const void *right)
{
	const struct key_count *a = left, *b = right;

	return a->first != b->first ? (a->first < b->first ? -1 : 1)
				    : (a->second > b->second) - (a->second < b->second);
}

static int compare_moves(const void *left, const void *right)
{
	const struct plan_move *a = left, *b = right;

	if (a->sum.requests != b->sum.requests)
		return a->sum.requests > b->sum.requests ? -1 : 1;
	return a->from != b->from ? (a->from < b->from ? -1 : 1)
				  : (a->to > b->to) - (a->to < b->to);
}

static void add_sum(struct plan_sum *to, const struct plan_sum *sum)
{
	to->keys += sum->keys;
	to->requests += sum->requests;
}

/* Count what the owners of a pair have in common. -1: out of memory. */
static int add_pair(struct plan_result *result, const struct plan_move *pair)
{
	struct plan_move *added;

	add_sum(&result->all, &pair->sum);
	add_sum(&result->owners[pair->from].sums[PLAN_BEFORE], &pair->sum);
	add_sum(&result->owners[pair->to].sums[PLAN_AFTER], &pair->sum);
	if (pair->from == pair->to)
		return 0;
	add_sum(&result->moved, &pair->sum);
	added = vec_append(result->moves, result->move_count);
	if (!added)
		return -1;
	*added = *pair;
	return 0;
}

const struct plan_result *plan_finish(struct plan *plan)
{
	struct plan_result *result = &plan->result;
	const struct key_count *list = plan->counts.list;
	size_t count = plan->counts.count;

	if (count)
		qsort(plan->counts.list, count, sizeof(*list), compare_owners);
	for (size_t i = 0; i < count;) {
		struct plan_move pair = { .from = list[i].first, .to = list[i].second };

		for (; i < count && list[i].first == pair.from && list[i].second == pair.to; i++)
			add_sum(&pair.sum, &(struct plan_sum){ 1, list[i].requests });
		if (add_pair(result, &pair))
			return NULL;
	}
	if (result->move_count)
		qsort(result->moves, result->move_count, sizeof(*result->moves), compare_moves);
	return result;
}

double plan_share(const struct membership *map, const struct cluster_member *member)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < map->member_count; i++)
		if (!map->members[i].drained)
			sum += map->members[i].weight;
	return member && !member->drained ? (double)member->weight / (double)sum : 0;
}
