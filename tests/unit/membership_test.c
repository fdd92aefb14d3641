// SPDX-License-Identifier: GPL-2.0-or-later
/* Maps of a cluster: what keys mean, how changes make the next map, and the file in which one is saved. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/membership.h"
#include "cluster/registry.h"
#include "cluster/saved_map.h"
#include "support/test.h"

static const struct membership_head head = {
	.cluster = "site", .self = "a", .revision = 7, .as_of = 1000
};

/* Add a key; return whether it was accepted. `value` NULL: deleted. */
static bool add_bytes(struct membership_changes *changes, const char *key, size_t key_length,
		      const char *value, size_t value_length)
{
	struct error error;
	bool accepted =
		membership_changes_add(changes, key, key_length, value, value_length, &error) == 0;

	if (!accepted)
		assert_int_not_equal(error.text[0], '\0');
	return accepted;
}

static bool add(struct membership_changes *changes, const char *key, const char *value)
{
	return add_bytes(changes, key, strlen(key), value, value ? strlen(value) : 0);
}

/* Make a map of a former one, which is released, and changes, which are freed. */
static const struct membership *make(const struct membership *former,
				     struct membership_changes *changes)
{
	struct error error;
	const struct membership *map = membership_make(former, changes, &head, &error);

	assert_non_null(map);
	membership_changes_free(changes);
	membership_unref(former);
	return map;
}

/* The map as one text: a=100 b=200! http://e.org/=b http://f.org/=miss; ! is drained. */
static const char *text_of(const struct membership *map)
{
	static char text[4096];
	struct assignment_cursor cursor = assignments_begin(&map->assignments);
	const struct cluster_assignment *one;
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < map->member_count; i++)
		used += sprintf(text + used, "%s=%u%s ", map->members[i].name,
				map->members[i].weight, map->members[i].drained ? "!" : "");
	while ((one = assignments_next(&cursor))) {
		assert_int_equal(strlen(one->prefix), one->length);
		used += sprintf(text + used, "%s=%s ", one->prefix,
				one->member		     ? one->member
				: one->verdict == ICP_OP_HIT ? "hit"
							     : "miss");
	}
	return text;
}

static const struct membership *sample(void)
{
	struct membership_changes *changes = membership_changes_new(true);

	assert_true(add(changes, "assign/http://f.org/", "{\"verdict\": \"miss\"}"));
	assert_true(add(changes, "members/b", "{\"weight\": 200}"));
	assert_true(add(changes, "drained/b", ""));
	assert_true(add(changes, "drained/z", "anything"));
	assert_true(add(changes, "members/a",
			"{\"name\": \"a\", \"weight\": 100, \"version\": \"1.0\", "
			"\"addresses\": [\"192.0.2.1:3130\", \"[2001:db8::1]:3130\"], \"x\": 1}"));
	assert_true(add(changes, "assign/http://e.org/", "{\"member\": \"b\"}"));
	return make(NULL, changes);
}

TEST(keys_make_a_sorted_map)
{
	const struct membership *map = sample();

	assert_string_equal(text_of(map), "a=100 b=200! http://e.org/=b http://f.org/=miss ");
	assert_string_equal(map->members[0].version, "1.0");
	assert_string_equal(map->members[0].addresses, "192.0.2.1:3130, [2001:db8::1]:3130");
	assert_string_equal(map->cluster, "site");
	assert_string_equal(map->self, "a");
	assert_int_equal(map->revision, 7);
	assert_ptr_equal(membership_member(map, "b"), &map->members[1]);
	assert_null(membership_member(map, "z"));
	membership_unref(map);
}

TEST(the_last_change_of_a_key_counts)
{
	const struct membership *map = sample();
	struct membership_changes *changes = membership_changes_new(false);

	assert_true(add(changes, "members/c", "{\"weight\": 1}"));
	assert_true(add(changes, "members/a", NULL));
	assert_true(add(changes, "drained/b", NULL));
	assert_true(add(changes, "members/z", "{\"weight\": 10000}"));
	assert_true(add(changes, "members/b", "{\"weight\": 5}"));
	assert_true(add(changes, "members/b", NULL));
	assert_true(add(changes, "members/b", "{\"weight\": 6}"));
	assert_true(add(changes, "members/c", NULL));
	assert_true(add(changes, "assign/http://e.org/a", "{\"verdict\": \"HIT\"}"));
	assert_true(add(changes, "assign/http://f.org/", NULL));
	assert_true(add(changes, "assign/http://never.there/", NULL));
	assert_int_equal(membership_changes_count(changes), 11);
	map = make(map, changes);
	assert_string_equal(text_of(map), "b=6 z=10000! http://e.org/=b http://e.org/a=hit ");
	membership_unref(map);
}

/* Each with a key that is there, and after which the map must be the same. */
static const struct {
	const char *key, *value;
} nonsense[] = {
	{ "members/a", "" },
	{ "members/a", "x" },
	{ "members/a", "[]" },
	{ "members/a", "{}" },
	{ "members/a", "{\"weight\": 0}" },
	{ "members/a", "{\"weight\": 10001}" },
	{ "members/a", "{\"weight\": -1}" },
	{ "members/a", "{\"weight\": 1e2}" },
	{ "members/a", "{\"weight\": \"100\"}" },
	{ "members/a", "{\"weight\": 99999999999999999999}" },
	{ "members/a", "{\"weight\": 1, \"weight\": 2}" },
	{ "members/a", "{\"weight\": 1, \"name\": \"b\"}" },
	{ "members/a", "{\"weight\": 1, \"version\": 1}" },
	{ "members/a", "{\"weight\": 1, \"addresses\": \"192.0.2.1\"}" },
	{ "members/a", "{\"weight\": 1, \"addresses\": [1]}" },
	{ "members/a", "{\"weight\": 1, \"version\": \"\xff\"}" },
	{ "assign/http://e.org/", "{}" },
	{ "assign/http://e.org/", "{\"member\": \"a\", \"verdict\": \"miss\"}" },
	{ "assign/http://e.org/", "{\"member\": \"a b\"}" },
	{ "assign/http://e.org/", "{\"member\": \"a\\u0000\"}" },
	{ "assign/http://e.org/", "{\"member\": \"\"}" },
	{ "assign/http://e.org/", "{\"verdict\": \"maybe\"}" },
	{ "assign/http://e.org/", "{\"verdict\": \"secho\"}" },
	{ "assign/", "{\"member\": \"a\"}" },
	{ "assign/http://e.org/a b", "{\"member\": \"a\"}" },
	{ "members/", "{\"weight\": 1}" },
	{ "members/\xc3\xa4", "{\"weight\": 1}" },
	{ "members/a/b", "{\"weight\": 1}" },
	{ "drained/a\n", "{}" },
	{ "other/a", "{}" },
	{ "", "{}" },
};

TEST(nonsense_changes_nothing)
{
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		const struct membership *map = sample();
		struct membership_changes *changes = membership_changes_new(false);
		char before[1024];

		strcpy(before, text_of(map));
		assert_false(add(changes, nonsense[i].key, nonsense[i].value));
		map = make(map, changes);
		assert_string_equal(text_of(map), before);
		membership_unref(map);
	}
}

TEST(nonsense_keeps_what_the_key_meant_when_all_is_read_again)
{
	const struct membership *map = sample();
	struct membership_changes *changes = membership_changes_new(true);

	assert_false(add(changes, "members/a", "{\"weight\": 0}"));
	assert_false(add(changes, "members/c", "{\"weight\": 0}"));
	assert_false(add(changes, "assign/http://f.org/", "?"));
	map = make(map, changes);
	assert_string_equal(text_of(map), "a=100 http://f.org/=miss ");
	assert_string_equal(map->members[0].version, "1.0");
	membership_unref(map);
}

TEST(what_is_too_long_is_refused)
{
	static const char weight[] = "{\"weight\": 1}", member[] = "{\"member\": \"b\"}";
	struct membership_changes *changes = membership_changes_new(true);
	char key[MEMBERSHIP_PREFIX_MAX + 16], value[MEMBERSHIP_VALUE_MAX + 2];

	memset(key, 'x', sizeof(key));
	memcpy(key, "members/", 8);
	assert_true(add_bytes(changes, key, 8 + MEMBERSHIP_NAME_MAX, weight, 13));
	assert_false(add_bytes(changes, key, 9 + MEMBERSHIP_NAME_MAX, weight, 13));
	memcpy(key, "assign/", 7);
	assert_true(add_bytes(changes, key, 7 + MEMBERSHIP_PREFIX_MAX, member, 15));
	assert_false(add_bytes(changes, key, 8 + MEMBERSHIP_PREFIX_MAX, member, 15));
	memset(value, ' ', sizeof(value));
	memcpy(value, weight, 13);
	assert_true(add_bytes(changes, "members/a", 9, value, MEMBERSHIP_VALUE_MAX));
	assert_false(add_bytes(changes, "members/b", 9, value, MEMBERSHIP_VALUE_MAX + 1));
	membership_changes_free(changes);
}

TEST(too_many_members_leave_the_former_map)
{
	struct membership_changes *changes = membership_changes_new(true);
	struct error error;

	for (unsigned int i = 0; i <= MEMBERSHIP_MEMBERS_MAX; i++)
		assert_true(add(changes, formatted("members/%u", i), "{\"weight\": 1}"));
	assert_null(membership_make(NULL, changes, &head, &error));
	assert_non_null(strstr(error.text, "10001 members"));
	assert_true(add(changes, "members/0", NULL));
	membership_unref(make(NULL, changes));
}

/* --- as text */

static size_t write_map(const struct membership *map, uint64_t lease, char *text, size_t size)
{
	FILE *file = fmemopen(text, size, "w");

	assert_int_equal(membership_write(map, lease, file), 0);
	assert_int_equal(fflush(file), 0);
	size = (size_t)ftell(file);
	fclose(file);
	return size;
}

static const struct membership *read_map(const char *text, size_t size, const char *cluster,
					 const char *self, uint64_t *lease)
{
	FILE *file = fmemopen((void *)text, size, "r");
	const struct membership_head now = { .cluster = cluster, .self = self };
	struct error error;
	const struct membership *map = membership_read(file, &now, lease, &error);

	if (!map)
		assert_int_not_equal(error.text[0], '\0');
	fclose(file);
	return map;
}

TEST(a_map_that_was_written_is_read)
{
	static const char key[] = "assign/http://e.org/\\\x01\xff\xc3\xa4\"";
	struct membership_changes *changes = membership_changes_new(false);
	const struct membership *map = sample(), *read;
	static char text[8192];
	uint64_t lease;
	size_t size;

	assert_true(add_bytes(changes, key, sizeof(key) - 1, "{\"member\": \"a\"}", 15));
	map = make(map, changes);
	size = write_map(map, 0x7123456789abcdef, text, sizeof(text));
	read = read_map(text, size, "site", "a", &lease);
	assert_non_null(read);
	assert_true(lease == 0x7123456789abcdef);
	assert_string_equal(text_of(read), text_of(map));
	assert_string_equal(read->members[0].addresses, map->members[0].addresses);
	assert_int_equal(read->drained_count, 2);
	assert_string_equal(read->drained[1], "z");
	assert_int_equal(read->revision, 7);
	assert_int_equal(read->as_of, 1000);
	membership_unref(read);

	read = read_map(text, size, "site", "b", &lease);
	assert_non_null(read);
	assert_true(lease == 0);
	assert_string_equal(read->self, "b");
	membership_unref(read);
	assert_null(read_map(text, size, "other", "a", &lease));
	membership_unref(map);
}

TEST(a_damaged_map_is_refused)
{
	const struct membership *map = sample();
	static char text[8192], copy[8192];
	size_t size = write_map(map, 1, text, sizeof(text));
	uint64_t lease;

	membership_unref(map);
	for (size_t i = 1; i < size; i++) {
		assert_null(read_map(text, i, "site", "a", &lease));
		memcpy(copy, text, size);
		copy[i] ^= 1;
		map = read_map(copy, size, "site", "a", &lease);
		/* A digit of the checksum apart, nothing may change what is read. */
		assert_null(map);
	}
	memcpy(copy, text, size);
	copy[size] = '\n';
	assert_null(read_map(copy, size + 1, "site", "a", &lease));
}

static void confirm(struct saved_map *saved, const struct membership *map, uint64_t now)
{
	saved_map_confirm(saved, map, 1, now);
	while (saved->running) {
		usleep(1000);
		saved_map_step(saved, now);
	}
}

/* A confirmation sets the time of the file; one that is gone is written again. */
TEST(a_confirmed_map)
{
	static const struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	char directory[] = "/tmp/xdp-icp-saved-XXXXXX";
	const struct membership *map = sample();
	struct stat before, after;
	struct saved_map saved;

	assert_non_null(mkdtemp(directory));
	assert_int_equal(saved_map_open(&saved, directory, "site"), 0);
	confirm(&saved, map, 100000);
	assert_int_equal(stat(saved.path, &before), 0);
	assert_int_equal(utimensat(AT_FDCWD, saved.path, old, 0), 0);
	confirm(&saved, map, 200000);
	assert_int_equal(stat(saved.path, &after), 0);
	assert_true(after.st_mtime > 1);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_int_equal(unlink(saved.path), 0);
	confirm(&saved, map, 300000);
	assert_int_equal(unlink(saved.path), 0);
	/* Not more often than once in a minute. */
	confirm(&saved, map, 301000);
	assert_int_equal(access(saved.path, F_OK), -1);
	saved_map_close(&saved);
	membership_unref(map);
	assert_int_equal(rmdir(directory), 0);
}

TEST(values_are_those_that_are_read)
{
	const struct membership *map = sample();
	char *member = membership_member_value(&map->members[0]);
	struct assignment_cursor cursor = assignments_begin(&map->assignments);
	char *first = membership_assignment_value(assignments_next(&cursor));
	char *second = membership_assignment_value(assignments_next(&cursor));

	assert_string_equal(member,
			    "{\"name\":\"a\",\"weight\":100,\"version\":\"1.0\",\"addresses\":"
			    "[\"192.0.2.1:3130\",\"[2001:db8::1]:3130\"]}");
	assert_string_equal(first, "{\"member\":\"b\"}");
	assert_string_equal(second, "{\"verdict\":\"miss\"}");
	free(member);
	free(first);
	free(second);
	membership_unref(map);
}

/* Random changes, against a table. */
TEST(random_changes)
{
	uint64_t seed = 1;
	unsigned int weights[20] = { 0 };
	const struct membership *map = NULL;

	for (int round = 0; round < 2000; round++) {
		bool whole = random_below(&seed, 4) == 0;
		struct membership_changes *changes = membership_changes_new(whole);
		unsigned int count = random_below(&seed, 12), next[20], member = 0;

		memcpy(next, weights, sizeof(next));
		if (whole)
			memset(next, 0, sizeof(next));
		while (count--) {
			unsigned int which = random_below(&seed, 20);
			unsigned int weight = random_below(&seed, 4);
			char key[32], value[32];

			sprintf(key, "members/m%02u", which);
			sprintf(value, "{\"weight\": %u}", weight == 3 ? 0 : weight);
			assert_int_equal(add(changes, key, weight ? value : NULL), weight != 3);
			if (weight != 3)
				next[which] = weight;
			else if (whole)
				next[which] = weights[which];
		}
		memcpy(weights, next, sizeof(next));
		map = make(map, changes);
		for (unsigned int i = 0; i < 20; i++) {
			if (!weights[i])
				continue;
			assert_in_range(member, 0, map->member_count - 1);
			assert_int_equal(map->members[member++].weight, weights[i]);
		}
		assert_int_equal(member, map->member_count);
	}
	membership_unref(map);
}

/* --- the registry */

TEST(the_registry_has_the_current_map_of_each_cluster)
{
	const struct membership *first = sample(), *second = sample();

	assert_null(cluster_membership("site"));
	assert_int_equal(cluster_publish(first), 0);
	assert_ptr_equal(cluster_membership("site"), first);
	membership_unref(first);
	assert_null(cluster_membership("other"));
	assert_int_equal(cluster_publish(second), 0);
	membership_unref(first);
	assert_ptr_equal(cluster_membership("site"), second);
	membership_unref(second);
	cluster_withdraw("site");
	assert_null(cluster_membership("site"));
	cluster_withdraw("site");
	membership_unref(second);
}

TEST(the_registry_is_bounded)
{
	const struct membership *maps[CLUSTERS_MAX + 1];
	char names[CLUSTERS_MAX + 1][4];
	struct error error;

	for (unsigned int i = 0; i <= CLUSTERS_MAX; i++) {
		const struct membership_head one = { .cluster = names[i], .self = "a" };

		sprintf(names[i], "%u", i);
		maps[i] = membership_make(NULL, NULL, &one, &error);
		assert_int_equal(cluster_publish(maps[i]), i < CLUSTERS_MAX ? 0 : -1);
		membership_unref(maps[i]);
	}
	for (unsigned int i = 0; i < CLUSTERS_MAX; i++)
		cluster_withdraw(names[i]);
}
