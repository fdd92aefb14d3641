// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a change of a cluster moves, and the assignments that balance it, against owners that are found
 * by the definition and counted in a list.
 */
#include <stdlib.h>

#include "cluster/order.h"
#include "cluster/plan.h"
#include "cluster/suggest.h"
#include "icp/opcode.h"
#include "support/test.h"

static void add(struct membership_changes *changes, const char *value, const char *format, ...)
{
	struct error error;
	char key[256];
	va_list args;

	va_start(args, format);
	vsnprintf(key, sizeof(key), format, args);
	va_end(args);
	if (membership_changes_add(changes, key, strlen(key), value, value ? strlen(value) : 0,
				   &error))
		fail_msg("%s: %s", key, error.text);
}

static const struct membership *make(const struct membership *former,
				     struct membership_changes *changes)
{
	const struct membership_head head = { .cluster = "site", .self = "a" };
	struct error error;
	const struct membership *map = membership_make(former, changes, &head, &error);

	assert_non_null(map);
	membership_changes_free(changes);
	return map;
}

static const struct url_key_form forms[] = {
	{ .kind = URL_KEY_URL, .query = 1 },
	{ .kind = URL_KEY_URL },
	{ .kind = URL_KEY_HOST },
	{ .kind = URL_KEY_HOST_DIRECTORIES },
	{ .kind = URL_KEY_HOST_DIRECTORIES, .directories = 1 },
	{ .kind = URL_KEY_HOST_DIRECTORIES, .directories = 2 },
	{ .kind = URL_KEY_PATH },
	{ .kind = URL_KEY_PATH_DIRECTORIES, .directories = 1 },
};

#define FORMS (sizeof(forms) / sizeof(forms[0]))

/* A URL of a few hosts and directories; few are the same. */
static void write_url(char *url, uint64_t *seed)
{
	static const char *const heads[] = { "http://a.org", "https://a.org", "http://A.org:81",
					     "http://a.org.b", "http://u@[::1]" };
	uint32_t depth = random_below(seed, 4);

	if (random_below(seed, 40) == 0) {
		strcpy(url, random_below(seed, 2) ? "a.org:443" : "http://a.org");
		return;
	}
	url = stpcpy(url, heads[random_below(seed, 5)]);
	for (uint32_t i = 0; i < depth; i++)
		url += sprintf(url, "/%u", random_below(seed, 12));
	url += sprintf(url, "/%s", random_below(seed, 2) ? "" : "f");
	if (random_below(seed, 4) == 0)
		sprintf(url, "?q=/%u/", random_below(seed, 3));
}

static void assign_randomly(struct membership_changes *changes, uint64_t *seed)
{
	char url[128], value[64];

	write_url(url, seed);
	url[1 + random_below(seed, strlen(url))] = '\0';
	if (random_below(seed, 3) == 0)
		sprintf(value, "{\"verdict\":\"%s\"}", opcode_short_name(random_verdict(seed)));
	else
		sprintf(value, "{\"member\":\"m%u\"}", random_below(seed, 12));
	add(changes, value, "assign/%s", url);
}

static const struct membership *make_random(const struct membership *former, uint64_t *seed)
{
	struct membership_changes *changes = membership_changes_new(!former);
	uint32_t count = former ? random_below(seed, 3) : random_below(seed, 9);

	for (uint32_t i = 0; i < count; i++) {
		char value[32];

		sprintf(value, "{\"weight\":%u}", 1 + random_below(seed, 300));
		add(changes, random_below(seed, 4) ? value : NULL, "members/m%u",
		    random_below(seed, 10));
	}
	for (uint32_t i = random_below(seed, 3); i > 0; i--)
		add(changes, random_below(seed, 2) ? "{}" : NULL, "drained/m%u",
		    random_below(seed, 10));
	for (uint32_t i = random_below(seed, 20); i > 0; i--)
		assign_randomly(changes, seed);
	return make(former, changes);
}

/* The owner by the definition. */
static const char *owner_of(const struct membership *map, const struct url_key_form *form,
			    const char *url)
{
	struct assignment_cursor cursor = assignments_begin(&map->assignments);
	const struct cluster_assignment *found = NULL, *one;
	const struct cluster_member *member = NULL;
	struct order *order = order_new(order_seed(map->cluster));
	struct url_key key = url_key_of(form, url, strlen(url));
	size_t numbers[16], count = 0, first;
	uint32_t slot = partition_slot(
		partition_hash(order_seed(map->cluster), &key, (const __u8 *)url, strlen(url)));

	while ((one = assignments_next(&cursor)))
		if (strncmp(url, one->prefix, one->length) == 0 &&
		    (!found || found->length < one->length))
			found = one;
	for (size_t i = 0; i < map->member_count; i++) {
		if (map->members[i].drained)
			continue;
		order_add(order, map->members[i].name, map->members[i].weight);
		numbers[count++] = i;
	}
	if (found)
		slot = order_text_slot(order, found->prefix, found->length);
	if (found && found->member)
		member = membership_member(map, found->member);
	if (member && member->drained)
		member = NULL;
	if (!member && count && order_list(order, slot, ORDER_NO_MEMBER, &first, 1))
		member = &map->members[numbers[first]];
	order_free(order);
	return found && !found->member ? opcode_name(found->verdict) : member ? member->name : "-";
}

#define URLS 400

struct request {
	char url[128], key[128];
	const char *from, *to;
};

/* The requests from one owner to another, and their keys. */
static struct plan_sum count(const struct request *list, const char *from, const char *to)
{
	struct plan_sum sum = { 0 };

	for (size_t i = 0; i < URLS; i++) {
		bool known = false;

		if (strcmp(list[i].from, from) != 0 || strcmp(list[i].to, to) != 0)
			continue;
		sum.requests++;
		for (size_t k = 0; k < i; k++)
			known |= strcmp(list[k].key, list[i].key) == 0 &&
				 strcmp(list[k].from, from) == 0 && strcmp(list[k].to, to) == 0;
		sum.keys += !known;
	}
	return sum;
}

static void compare(const struct plan_result *result, const struct request *list)
{
	struct plan_sum all = { 0 }, moved = { 0 };
	size_t next = 0;

	for (size_t i = 0; i < result->owner_count; i++)
		for (size_t k = 0; k < result->owner_count; k++) {
			struct plan_sum sum =
				count(list, result->owners[i].name, result->owners[k].name);

			all.keys += sum.keys;
			all.requests += sum.requests;
			if (i == k || !sum.requests)
				continue;
			moved.keys += sum.keys;
			moved.requests += sum.requests;
			for (next = 0; next < result->move_count; next++)
				if (result->moves[next].from == i && result->moves[next].to == k)
					break;
			assert_true(next < result->move_count);
			assert_int_equal(result->moves[next].sum.keys, sum.keys);
			assert_int_equal(result->moves[next].sum.requests, sum.requests);
		}
	assert_int_equal(all.requests, URLS);
	assert_memory_equal(&result->all, &all, sizeof(all));
	assert_memory_equal(&result->moved, &moved, sizeof(moved));
}

TEST(plan_against_the_definition)
{
	static struct request list[URLS];
	uint64_t seed = 41;

	for (int round = 0; round < 60; round++) {
		const struct url_key_form *form = &forms[round % FORMS];
		const struct membership *before = make_random(NULL, &seed);
		const struct membership *after = make_random(before, &seed);
		struct plan *plan = plan_new(before, after, form);
		const struct plan_result *result;
		struct error error;

		for (size_t i = 0; i < URLS; i++) {
			struct request *one = &list[i];
			struct url_key key;

			write_url(one->url, &seed);
			key = url_key_of(form, one->url, strlen(one->url));
			sprintf(one->key, "%.*s", (int)(key.end - key.begin), one->url + key.begin);
			for (char *c = one->key; key.begin + (c - one->key) < key.lower; c++)
				*c = *c == 'A' ? 'a' : *c;
			one->from = owner_of(before, form, one->url);
			one->to = owner_of(after, form, one->url);
			assert_int_equal(plan_add(plan, one->url, strlen(one->url), &error), 0);
		}
		result = plan_finish(plan);
		assert_non_null(result);
		compare(result, list);
		plan_free(plan);
		membership_unref(before);
		membership_unref(after);
	}
}

/* The map with what is suggested. */
static const struct membership *assign(const struct membership *map,
				       const struct suggest_result *result)
{
	struct membership_changes *changes = membership_changes_new(false);

	for (size_t i = 0; i < result->count; i++) {
		const struct suggestion *one = &result->list[i];
		char value[128];

		sprintf(value, "{\"member\":\"%s\"}", map->members[one->to].name);
		add(changes, value, "assign/%.*s", (int)one->length, one->prefix);
	}
	return make(map, changes);
}

/* What is suggested does what it says. Returns the number of assignments. */
static size_t check_suggestions(const struct membership *map, const struct url_key_form *form,
				char (*urls)[128], size_t url_count, bool *balanced)
{
	struct suggest *suggest = suggest_new(map, form);
	const struct suggest_result *result;
	const struct membership *after;
	size_t assignments;
	struct error error;

	for (size_t i = 0; i < url_count; i++)
		assert_int_equal(suggest_add(suggest, urls[i], strlen(urls[i]), &error), 0);
	result = suggest_finish(suggest);
	assert_non_null(result);
	after = assign(map, result);
	*balanced = true;
	for (size_t i = 0; i < map->member_count; i++) {
		const struct suggest_member *member = &result->members[i];
		uint64_t sums[2] = { 0 };

		for (size_t k = 0; k < url_count; k++) {
			sums[0] += strcmp(owner_of(map, form, urls[k]), map->members[i].name) == 0;
			sums[1] +=
				strcmp(owner_of(after, form, urls[k]), map->members[i].name) == 0;
		}
		assert_int_equal(member->before, sums[0]);
		assert_int_equal(member->after, sums[1]);
		*balanced &= sums[1] >= 0.95 * member->wanted - 1e-6 &&
			     sums[1] <= 1.05 * member->wanted + 1e-6;
	}
	assert_int_equal(result->balanced, *balanced);
	assignments = result->count;
	assert_int_equal(after->assignments.count - map->assignments.count <= assignments, true);
	suggest_free(suggest);
	membership_unref(after);
	return assignments;
}

TEST(suggestions_do_what_they_say)
{
	static char urls[URLS][128];
	uint64_t seed = 5;
	bool balanced;

	for (int round = 0; round < 40; round++) {
		const struct membership *map = make_random(NULL, &seed);

		for (size_t i = 0; i < URLS; i++)
			write_url(urls[i], &seed);
		check_suggestions(map, &forms[round % FORMS], urls, URLS, &balanced);
		membership_unref(map);
	}
}

static const struct membership *make_members(unsigned int members)
{
	struct membership_changes *changes = membership_changes_new(true);

	for (unsigned int i = 0; i < members; i++)
		add(changes, "{\"weight\":100}", "members/m%u", i);
	return make(NULL, changes);
}

/* Directories with falling numbers of requests, as sites have them: 5 % is reached, by few assignments. */
TEST(suggestions_balance)
{
	static char urls[20000][128];
	size_t all = 0;

	for (unsigned int members = 2; members <= 10; members += 4) {
		const struct membership *map = make_members(members);
		size_t used = 0, count;
		bool balanced;

		for (unsigned int rank = 1; rank <= 400 && used < 20000; rank++)
			for (unsigned int k = 0; k < 1500 / (rank + 4) && used < 20000; k++)
				sprintf(urls[used++], "http://a.org/%u/%u", rank, k);
		count = check_suggestions(map, &forms[4], urls, used, &balanced);
		assert_in_range(count, 0, 2 * members);
		assert_true(balanced);
		all += count;
		membership_unref(map);
	}
	assert_int_not_equal(all, 0);
}

/* Where a key alone exceeds a share nothing helps, and the key is named. */
TEST(a_key_that_is_too_hot)
{
	const struct membership *map = make_members(4);
	struct suggest *suggest = suggest_new(map, &forms[4]);
	const struct suggest_result *result;
	struct error error;

	for (unsigned int i = 0; i < 4000; i++) {
		char url[64];

		sprintf(url, "http://a.org/%u/%u", i % 5 ? 0 : i, i);
		assert_int_equal(suggest_add(suggest, url, strlen(url), &error), 0);
	}
	result = suggest_finish(suggest);
	assert_false(result->balanced);
	assert_int_equal(result->hottest.requests, 3201);
	/* A thousand small keys would gain nothing. */
	assert_in_range(result->count, 0, 10);
	assert_int_equal(result->hottest.length, strlen("http://a.org/0/"));
	assert_int_equal(result->members[result->hottest.to].after, 3201);
	suggest_free(suggest);
	membership_unref(map);
}

TEST(nothing_at_all)
{
	const struct membership *map = make_members(0);
	struct suggest *suggest = suggest_new(map, &forms[0]);
	struct plan *plan = plan_new(map, map, &forms[0]);
	struct error error;

	assert_int_equal(suggest_add(suggest, "x", 1, &error), 0);
	assert_int_equal(suggest_finish(suggest)->count, 0);
	assert_int_equal(plan_finish(plan)->all.keys, 0);
	suggest_free(suggest);
	plan_free(plan);
	membership_unref(map);
}
