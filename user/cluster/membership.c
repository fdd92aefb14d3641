// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A map is one allocation, with its members, drained names and their texts behind it; of its assignments
 * it shares most with the former map (assignments.h). It is made by a merge of the former map's sorted
 * lists with the sorted changes.
 */
#include <ctype.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/membership.h"
#include "cluster/values.h"
#include "lib/byteset.h"
#include "lib/vec.h"
#include "icp/opcode.h"

#define OUT_OF_MEMORY "out of memory"

/* What a key of etcd is about, in the byte order of the keys, so that what is read is sorted. */
enum kind {
	KIND_ASSIGNMENT,
	KIND_DRAINED,
	KIND_MEMBER,
	KINDS
};

static const struct {
	const char *head; /* of its keys */
	const char *many;
	size_t max;
} kinds[KINDS] = {
	[KIND_ASSIGNMENT] = { "assign/", "assigned prefixes", MEMBERSHIP_ASSIGNMENTS_MAX },
	[KIND_DRAINED] = { "drained/", "drained names", MEMBERSHIP_MEMBERS_MAX },
	[KIND_MEMBER] = { "members/", "members", MEMBERSHIP_MEMBERS_MAX },
};

/* One key and what it says, of any kind. */
struct entry {
	const char *key; /* without the kind's head */
	size_t length;
	unsigned int number; /* the weight of a member, the verdict of an assignment */
	const char *texts
		[2]; /* a member's version and addresses; the member of an assignment, or NULL */
};

enum operation {
	CHANGE_SET,
	CHANGE_DELETE,
	CHANGE_KEEP, /* as it was */
};

struct change {
	enum kind kind;
	enum operation operation;
	size_t number; /* the later one of a key counts */
	struct entry entry;
	char text[]; /* what the entry points to */
};

struct membership_changes {
	bool whole, sorted;
	struct change **list;
	size_t count, text_size;
	struct error failure; /* why one is missing; an empty text: none is */
};

/* A map with its count of references. */
struct counted {
	atomic_uint references;
	struct membership map;
};

static struct counted *counted(const struct membership *map)
{
	return (struct counted *)((char *)map - offsetof(struct counted, map));
}

const struct membership *membership_ref(const struct membership *map)
{
	atomic_fetch_add_explicit(&counted(map)->references, 1, memory_order_relaxed);
	return map;
}

void membership_unref(const struct membership *map)
{
	if (!map ||
	    atomic_fetch_sub_explicit(&counted(map)->references, 1, memory_order_acq_rel) > 1)
		return;
	assignments_free(&counted(map)->map.assignments);
	free(counted(map));
}

/* The position of a merge in one kind of the former map's lists. */
struct source {
	const struct membership *former; /* NULL: there is none */
	enum kind kind;
	size_t number; /* not of assignments, which have the cursor */
	struct assignment_cursor cursor;
};

static struct source source_of(const struct membership *former, enum kind kind)
{
	struct source source = { .former = former, .kind = kind };

	if (former)
		source.cursor = assignments_begin(&former->assignments);
	return source;
}

/* Get the entry there. False: it is the end. */
static bool look(const struct source *source, struct entry *entry)
{
	const struct membership *former = source->former;
	const struct cluster_assignment *assignment;
	const struct cluster_member *member;

	if (!former)
		return false;
	switch (source->kind) {
	case KIND_MEMBER:
		if (source->number == former->member_count)
			return false;
		member = &former->members[source->number];
		*entry = (struct entry){ member->name,
					 strlen(member->name),
					 member->weight,
					 { member->version, member->addresses } };
		return true;
	case KIND_DRAINED:
		if (source->number == former->drained_count)
			return false;
		*entry = (struct entry){ .key = former->drained[source->number] };
		entry->length = strlen(entry->key);
		return true;
	default:
		assignment = assignments_at(&source->cursor);
		if (!assignment)
			return false;
		*entry = (struct entry){ assignment->prefix,
					 assignment->length,
					 assignment->verdict,
					 { assignment->member, NULL } };
		return true;
	}
}

static void move_on(struct source *source)
{
	if (source->kind == KIND_ASSIGNMENT)
		assignments_next(&source->cursor);
	else
		source->number++;
}

static int compare_keys(const struct entry *a, const struct entry *b)
{
	return byteset_compare(a->key, a->length, b->key, b->length);
}

static int compare_member(const void *name, const void *member)
{
	return strcmp(name, ((const struct cluster_member *)member)->name);
}

const struct cluster_member *membership_member(const struct membership *map, const char *name)
{
	return bsearch(name, map->members, map->member_count, sizeof(*map->members),
		       compare_member);
}

static bool is_same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool have_same(const struct membership *a, const struct membership *b, enum kind kind)
{
	struct source of_a = source_of(a, kind), of_b = source_of(b, kind);
	struct entry left, right;

	while (look(&of_a, &left)) {
		if (!look(&of_b, &right) || compare_keys(&left, &right) != 0 ||
		    left.number != right.number || !is_same_text(left.texts[0], right.texts[0]) ||
		    !is_same_text(left.texts[1], right.texts[1]))
			return false;
		move_on(&of_a);
		move_on(&of_b);
	}
	return !look(&of_b, &right);
}

bool membership_is_same(const struct membership *a, const struct membership *b)
{
	return assignments_are_same(&a->assignments, &b->assignments) &&
	       have_same(a, b, KIND_DRAINED) && have_same(a, b, KIND_MEMBER);
}

bool membership_is_name(const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
			return false;
	return length >= 1 && length <= MEMBERSHIP_NAME_MAX && !memchr(name, '\0', length);
}

bool membership_is_member_name(const char *name, size_t length)
{
	return membership_is_name(name, length) &&
	       verdict_from_name(name, length) == ICP_OP_INVALID;
}

/* --- changes */

struct membership_changes *membership_changes_new(bool whole)
{
	struct membership_changes *changes = calloc(1, sizeof(*changes));

	if (changes)
		*changes = (struct membership_changes){ .whole = whole, .sorted = true };
	return changes;
}

void membership_changes_free(struct membership_changes *changes)
{
	if (!changes)
		return;
	for (size_t i = 0; i < changes->count; i++)
		free(changes->list[i]);
	free(changes->list);
	free(changes);
}

size_t membership_changes_count(const struct membership_changes *changes)
{
	return changes->count;
}

bool membership_changes_lack(const struct membership_changes *changes)
{
	return changes->failure.text[0];
}

static size_t text_size(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

/* Copy a text of `length` bytes to *place, with a NUL, and move on. */
static const char *put_text(char **place, const char *text, size_t length)
{
	char *copy = *place;

	memcpy(copy, text, length);
	copy[length] = '\0';
	*place += length + 1;
	return copy;
}

/* Copy an entry, with its texts at *place. */
static struct entry copy_entry(const struct entry *from, char **place)
{
	struct entry entry = *from;

	entry.key = put_text(place, from->key, from->length);
	for (int i = 0; i < 2; i++)
		if (from->texts[i])
			entry.texts[i] = put_text(place, from->texts[i], strlen(from->texts[i]));
	return entry;
}

static size_t entry_size(const struct entry *entry)
{
	return entry->length + 1 + text_size(entry->texts[0]) + text_size(entry->texts[1]);
}

static int compare_changes(const void *left, const void *right)
{
	const struct change *a = *(struct change *const *)left, *b = *(struct change *const *)right;
	int order = a->kind == b->kind ? compare_keys(&a->entry, &b->entry) : 0;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return order ? order : (a->number > b->number) - (a->number < b->number);
}

static int add_change(struct membership_changes *changes, enum kind kind, enum operation operation,
		      const struct entry *entry, struct error *error)
{
	size_t size = entry_size(entry);
	bool fits = size <= MEMBERSHIP_TEXT_MAX - changes->text_size;
	struct change *change = fits ? malloc(sizeof(*change) + size) : NULL;
	struct change **added = change ? vec_append(changes->list, changes->count) : NULL;
	char *place = change ? change->text : NULL;

	if (!added) {
		free(change);
		error_set(&changes->failure, "%s",
			  fits ? OUT_OF_MEMORY : "too many bytes of names and prefixes");
		*error = changes->failure;
		return -1;
	}
	changes->text_size += size;
	change->kind = kind;
	change->operation = operation;
	change->number = changes->count;
	change->entry = copy_entry(entry, &place);
	*added = change;
	if (changes->count > 1)
		changes->sorted = changes->sorted && compare_changes(added - 1, added) <= 0;
	return 0;
}

/* Returns the kind of a key, and what is behind its head. KINDS: none. */
static enum kind key_kind(const char *key, size_t length, struct entry *entry)
{
	enum kind kind = 0;

	for (; kind < KINDS; kind++) {
		size_t head = strlen(kinds[kind].head);

		if (length < head || memcmp(key, kinds[kind].head, head) != 0)
			continue;
		*entry = (struct entry){ .key = key + head, .length = length - head };
		break;
	}
	return kind;
}

int membership_check_prefix(const char *prefix, size_t length, struct error *error)
{
	if (!length)
		return error_set(error, "an empty prefix; it would assign everything");
	if (length > MEMBERSHIP_PREFIX_MAX)
		return error_set(error, "a prefix of %zu bytes; one has at most %u", length,
				 MEMBERSHIP_PREFIX_MAX);
	if (icp_url_form((const __u8 *)prefix, length, length) != ICP_FORM_QUERY)
		return error_set(error, "the prefix has white space or a NUL in it; no URL has");
	return 0;
}

static int check_key(enum kind kind, const struct entry *entry, struct error *error)
{
	if (kind == KINDS)
		return error_set(error, "unknown; the keys are members/NAME, drained/NAME and "
					"assign/PREFIX");
	if (kind == KIND_ASSIGNMENT)
		return membership_check_prefix(entry->key, entry->length, error);
	if (!membership_is_name(entry->key, entry->length))
		return error_set(error, "not the name of a member; it has 1 to %u of A-Za-z0-9._-",
				 MEMBERSHIP_NAME_MAX);
	return 0;
}

/* --- values */

/* Read the value of a well-formed key, and add the change. */
static int add_value(struct membership_changes *changes, enum kind kind, struct entry entry,
		     const json_t *value, struct error *error)
{
	char addresses[MEMBERSHIP_NOTE_MAX + 1];
	struct cluster_member member = { .addresses = addresses };
	struct cluster_assignment assignment;

	switch (kind) {
	case KIND_MEMBER:
		if (value_read_member(value, entry.key, entry.length, &member, addresses, error))
			return -1;
		entry.number = member.weight;
		entry.texts[0] = member.version;
		entry.texts[1] = member.addresses;
		break;
	case KIND_ASSIGNMENT:
		if (value_read_assignment(value, &assignment, error))
			return -1;
		entry.number = assignment.verdict;
		entry.texts[0] = assignment.member;
		break;
	default:
		break;
	}
	return add_change(changes, kind, CHANGE_SET, &entry, error);
}

/* An invalid value leaves the former meaning. Returns -1. */
static int keep(struct membership_changes *changes, enum kind kind, const struct entry *entry,
		struct error *error)
{
	struct error failed;

	if (changes->whole && add_change(changes, kind, CHANGE_KEEP, entry, &failed))
		*error = failed;
	return -1;
}

int membership_changes_add_json(struct membership_changes *changes, const char *key,
				size_t key_length, const json_t *value, struct error *error)
{
	struct entry entry = { 0 };
	enum kind kind = key_kind(key, key_length, &entry);

	if (check_key(kind, &entry, error))
		return -1;
	return add_value(changes, kind, entry, value, error) ? keep(changes, kind, &entry, error)
							     : 0;
}

int membership_changes_add(struct membership_changes *changes, const char *key, size_t key_length,
			   const char *value, size_t value_length, struct error *error)
{
	struct entry entry = { 0 };
	enum kind kind = key_kind(key, key_length, &entry);
	json_t *json;
	int result;

	if (check_key(kind, &entry, error))
		return -1;
	if (!value)
		return add_change(changes, kind, CHANGE_DELETE, &entry, error);
	if (value_length > MEMBERSHIP_VALUE_MAX) {
		error_set(error, "a value of %zu bytes; one has at most %u", value_length,
			  MEMBERSHIP_VALUE_MAX);
		return keep(changes, kind, &entry, error);
	}
	json = json_loadb(value, value_length, JSON_REJECT_DUPLICATES, NULL);
	result = membership_changes_add_json(changes, key, key_length, json, error);
	json_decref(json);
	return result;
}

/* --- the merge */

/* What there will be, in order. */
struct merged {
	struct entry *lists[KINDS]; /* not of assignments */
	size_t counts[KINDS], text_size;
	struct assignments_maker maker;
	bool failed; /* out of memory */
};

static void emit(struct merged *merged, enum kind kind, const struct entry *entry)
{
	const struct cluster_assignment assignment = {
		.prefix = entry->key,
		.length = entry->length,
		.member = entry->texts[0],
		.verdict = entry->number,
	};
	struct entry *place;

	if (kind == KIND_ASSIGNMENT) {
		assignments_add(&merged->maker, &assignment);
		return;
	}
	place = vec_append(merged->lists[kind], merged->counts[kind]);
	if (place)
		*place = *entry;
	else
		merged->failed = true;
	merged->text_size += entry_size(entry);
}

static bool is_same_key(const struct change *a, const struct change *b)
{
	return a->kind == b->kind && compare_keys(&a->entry, &b->entry) == 0;
}

/* Share what comes before a change, or the end, of the former map's assignments. */
static bool share(struct merged *merged, struct source *source, const struct change *change)
{
	return source->kind == KIND_ASSIGNMENT && source->former &&
	       assignments_share(&merged->maker, &source->cursor, change ? change->entry.key : NULL,
				 change ? change->entry.length : 0);
}

/* Merge one kind; `next` counts the changes of all kinds. */
static void merge_kind(const struct membership *former, const struct membership_changes *changes,
		       enum kind kind, size_t *next, struct merged *merged)
{
	struct source source = source_of(former, kind);

	for (;;) {
		const struct change *change = *next < changes->count ? changes->list[*next] : NULL;
		struct entry entry;
		int order; /* of the change and the former entry */
		bool there;

		if (change && change->kind != kind)
			change = NULL;
		if (!changes->whole && share(merged, &source, change))
			continue;
		there = look(&source, &entry);
		if (!change && !there)
			return;
		order = !change ? 1 : there ? compare_keys(&change->entry, &entry) : -1;
		if (order <= 0 && ++*next < changes->count &&
		    is_same_key(change, changes->list[*next]))
			continue; /* a later one counts */
		if (order >= 0)
			move_on(&source);
		if (order <= 0 && change->operation == CHANGE_SET)
			emit(merged, kind, &change->entry);
		else if (order == 0 ? change->operation == CHANGE_KEEP
				    : order > 0 && !changes->whole)
			emit(merged, kind, &entry);
	}
}

static int check_bounds(const struct merged *merged, const struct assignments *assignments,
			struct error *error)
{
	size_t texts = merged->text_size + assignments->text_size;

	for (enum kind kind = 0; kind < KINDS; kind++) {
		size_t count = kind == KIND_ASSIGNMENT ? assignments->count : merged->counts[kind];

		if (count > kinds[kind].max)
			return error_set(error, "%zu %s; at most %zu are possible", count,
					 kinds[kind].many, kinds[kind].max);
	}
	if (texts > MEMBERSHIP_TEXT_MAX)
		return error_set(error, "%zu bytes of names and prefixes; at most %u are possible",
				 texts, MEMBERSHIP_TEXT_MAX);
	return 0;
}

/* Allocate a map and fill all but its assignments. NULL: out of memory. */
static struct membership *allocate(const struct merged *merged, const struct membership_head *head)
{
	size_t members = merged->counts[KIND_MEMBER] * sizeof(struct cluster_member);
	size_t drained = merged->counts[KIND_DRAINED] * sizeof(char *);
	size_t texts = text_size(head->cluster) + text_size(head->self) + merged->text_size;
	struct counted *made = malloc(sizeof(*made) + members + drained + texts);
	struct membership *map = made ? &made->map : NULL;
	char *lists, *place;

	if (!made)
		return NULL;
	lists = (char *)(made + 1);
	place = lists + members + drained;
	atomic_init(&made->references, 1);
	*map = (struct membership){
		.cluster = put_text(&place, head->cluster, strlen(head->cluster)),
		.self = put_text(&place, head->self, strlen(head->self)),
		.revision = head->revision,
		.as_of = head->as_of,
		.isolated = head->isolated,
		.leased = head->leased,
		.member_count = merged->counts[KIND_MEMBER],
		.members = (struct cluster_member *)lists,
		.drained_count = merged->counts[KIND_DRAINED],
		.drained = (const char **)(lists + members),
	};
	for (size_t i = 0; i < map->member_count; i++) {
		struct entry entry = copy_entry(&merged->lists[KIND_MEMBER][i], &place);

		map->members[i] = (struct cluster_member){
			.name = entry.key,
			.weight = entry.number,
			.version = entry.texts[0],
			.addresses = entry.texts[1],
		};
	}
	for (size_t i = 0; i < map->drained_count; i++)
		map->drained[i] = copy_entry(&merged->lists[KIND_DRAINED][i], &place).key;
	return map;
}

static void mark_drained(struct membership *map)
{
	size_t member = 0;

	for (size_t i = 0; i < map->drained_count; i++) {
		while (member < map->member_count &&
		       strcmp(map->members[member].name, map->drained[i]) < 0)
			member++;
		if (member < map->member_count &&
		    strcmp(map->members[member].name, map->drained[i]) == 0)
			map->members[member].drained = true;
	}
}

/* Make a map of what was merged. NULL with an error. */
static struct membership *finish(struct merged *merged, const struct membership_head *head,
				 struct error *error)
{
	struct membership *map = NULL;
	struct assignments assignments;

	if (assignments_finish(&merged->maker, &assignments) || merged->failed)
		error_set(error, OUT_OF_MEMORY);
	else if (check_bounds(merged, &assignments, error) == 0 && !(map = allocate(merged, head)))
		error_set(error, OUT_OF_MEMORY);
	if (!map) {
		assignments_free(&assignments);
		return NULL;
	}
	map->text_size = merged->text_size + assignments.text_size;
	map->assignments = assignments;
	mark_drained(map);
	return map;
}

const struct membership *membership_make(const struct membership *former,
					 struct membership_changes *changes,
					 const struct membership_head *head, struct error *error)
{
	struct membership_changes none = { .sorted = true };
	struct merged merged = { .failed = false };
	struct membership *map;
	size_t next = 0;

	if (!changes)
		changes = &none;
	if (changes->failure.text[0]) {
		*error = changes->failure;
		return NULL;
	}
	if (!changes->sorted)
		qsort(changes->list, changes->count, sizeof(*changes->list), compare_changes);
	changes->sorted = true;
	for (enum kind kind = 0; kind < KINDS; kind++)
		merge_kind(former, changes, kind, &next, &merged);
	map = finish(&merged, head, error);
	for (enum kind kind = 0; kind < KINDS; kind++)
		free(merged.lists[kind]);
	return map;
}
