// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A map is one allocation, with its lists and all texts behind it. It is made by a merge of the former
 * map's sorted lists with the sorted changes, twice: the first time to count what there will be.
 */
#include <ctype.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cluster/membership.h"
#include "icp/opcode.h"
#include "lib/vec.h"

#define OUT_OF_MEMORY "out of memory"

/* What a key of etcd is about. */
enum kind {
	KIND_MEMBER,
	KIND_DRAINED,
	KIND_ASSIGNMENT,
	KINDS
};

static const struct {
	const char *head; /* of its keys */
	const char *many;
	size_t max;
} kinds[KINDS] = {
	[KIND_MEMBER] = { "members/", "members", MEMBERSHIP_MEMBERS_MAX },
	[KIND_DRAINED] = { "drained/", "drained names", MEMBERSHIP_MEMBERS_MAX },
	[KIND_ASSIGNMENT] = { "assign/", "assigned prefixes", MEMBERSHIP_ASSIGNMENTS_MAX },
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
	size_t count;
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
	if (map &&
	    atomic_fetch_sub_explicit(&counted(map)->references, 1, memory_order_acq_rel) == 1)
		free(counted(map));
}

static size_t count_of(const struct membership *former, enum kind kind)
{
	if (!former)
		return 0;
	return kind == KIND_MEMBER    ? former->member_count
	       : kind == KIND_DRAINED ? former->drained_count
				      : former->assignment_count;
}

static struct entry entry_of(const struct membership *former, enum kind kind, size_t number)
{
	const struct cluster_assignment *assignment = &former->assignments[number];
	const struct cluster_member *member = &former->members[number];

	switch (kind) {
	case KIND_MEMBER:
		return (struct entry){ member->name,
				       strlen(member->name),
				       member->weight,
				       { member->version, member->addresses } };
	case KIND_DRAINED:
		return (struct entry){
			former->drained[number], strlen(former->drained[number]), 0, { NULL, NULL }
		};
	default:
		return (struct entry){ assignment->prefix,
				       assignment->length,
				       assignment->verdict,
				       { assignment->member, NULL } };
	}
}

static int compare_keys(const struct entry *a, const struct entry *b)
{
	int order = memcmp(a->key, b->key, a->length < b->length ? a->length : b->length);

	return order ? order : (a->length > b->length) - (a->length < b->length);
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

bool membership_is_same(const struct membership *a, const struct membership *b)
{
	if (count_of(a, KIND_MEMBER) != count_of(b, KIND_MEMBER) ||
	    count_of(a, KIND_DRAINED) != count_of(b, KIND_DRAINED) ||
	    count_of(a, KIND_ASSIGNMENT) != count_of(b, KIND_ASSIGNMENT))
		return false;
	for (enum kind kind = 0; kind < KINDS; kind++)
		for (size_t i = 0; i < count_of(a, kind); i++) {
			struct entry left = entry_of(a, kind, i), right = entry_of(b, kind, i);

			if (compare_keys(&left, &right) != 0 || left.number != right.number ||
			    !is_same_text(left.texts[0], right.texts[0]) ||
			    !is_same_text(left.texts[1], right.texts[1]))
				return false;
		}
	return true;
}

bool membership_is_name(const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
			return false;
	return length >= 1 && length <= MEMBERSHIP_NAME_MAX && !memchr(name, '\0', length);
}

/* --- changes */

struct membership_changes *membership_changes_new(bool whole)
{
	struct membership_changes *changes = calloc(1, sizeof(*changes));

	if (changes)
		changes->whole = whole;
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

static int add_change(struct membership_changes *changes, enum kind kind, enum operation operation,
		      const struct entry *entry, struct error *error)
{
	struct change *change = malloc(sizeof(*change) + entry_size(entry));
	struct change **added = change ? vec_append(changes->list, changes->count) : NULL;
	char *place = change ? change->text : NULL;

	if (!added) {
		free(change);
		return error_set(error, OUT_OF_MEMORY);
	}
	change->kind = kind;
	change->operation = operation;
	change->number = changes->count;
	change->entry = copy_entry(entry, &place);
	changes->sorted = false;
	*added = change;
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

/* Return the text of a member of an object, NULL if it has none. -1: it is no text, or too long. */
static int read_note(const json_t *object, const char *name, const char **text, struct error *error)
{
	const json_t *value = json_object_get(object, name);

	*text = value ? json_string_value(value) : "";
	if (!*text || strlen(*text) > MEMBERSHIP_NOTE_MAX)
		return error_set(error, "'%s' must be a text of at most %u bytes", name,
				 MEMBERSHIP_NOTE_MAX);
	return 0;
}

static int read_addresses(const json_t *object, char text[MEMBERSHIP_NOTE_MAX + 1],
			  struct error *error)
{
	const json_t *list = json_object_get(object, "addresses"), *item;
	size_t used = 0, i;

	text[0] = '\0';
	if (list && !json_is_array(list))
		return error_set(error, "'addresses' must be a list of texts");
	json_array_foreach (list, i, item) {
		const char *address = json_string_value(item);
		size_t size = MEMBERSHIP_NOTE_MAX + 1 - used;

		if (!address ||
		    (size_t)snprintf(text + used, size, "%s%s", used ? ", " : "", address) >= size)
			return error_set(error,
					 "'addresses' must be a list of texts, of at most %u bytes",
					 MEMBERSHIP_NOTE_MAX);
		used += strlen(text + used);
	}
	return 0;
}

static int read_member(const json_t *object, struct entry *entry,
		       char addresses[MEMBERSHIP_NOTE_MAX + 1], struct error *error)
{
	const json_t *weight = json_object_get(object, "weight");
	const json_t *name = json_object_get(object, "name");
	json_int_t number = json_integer_value(weight);

	if (!json_is_integer(weight) || number < 1 || number > MEMBERSHIP_WEIGHT_MAX)
		return error_set(error, "'weight' must be a number from 1 to %u",
				 MEMBERSHIP_WEIGHT_MAX);
	if (name && (!json_is_string(name) || json_string_length(name) != entry->length ||
		     memcmp(json_string_value(name), entry->key, entry->length) != 0))
		return error_set(error, "'name' must be that of the key");
	entry->number = (unsigned int)number;
	entry->texts[1] = addresses;
	return read_note(object, "version", &entry->texts[0], error) ||
			       read_addresses(object, addresses, error)
		       ? -1
		       : 0;
}

static int read_assignment(const json_t *object, struct entry *entry, struct error *error)
{
	const json_t *member = json_object_get(object, "member");
	const char *verdict = json_string_value(json_object_get(object, "verdict"));

	if (!member == !verdict)
		return error_set(error, "give it either a 'member' or a 'verdict'");
	entry->number = ICP_OP_INVALID;
	if (verdict) {
		entry->number = verdict_from_name(verdict, strlen(verdict));
		return entry->number == ICP_OP_INVALID
			       ? error_set(error, "unknown verdict '%s'; it can be " VERDICT_NAMES,
					   verdict)
			       : 0;
	}
	entry->texts[0] = json_string_value(member);
	if (!entry->texts[0] || !membership_is_name(entry->texts[0], json_string_length(member)))
		return error_set(error, "'member' must be a name of 1 to %u of A-Za-z0-9._-",
				 MEMBERSHIP_NAME_MAX);
	return 0;
}

/* Read the value of a key that is in order, and add the change. */
static int add_value(struct membership_changes *changes, enum kind kind, struct entry entry,
		     const char *value, size_t length, struct error *error)
{
	char addresses[MEMBERSHIP_NOTE_MAX + 1];
	json_t *object;
	int result;

	if (length > MEMBERSHIP_VALUE_MAX)
		return error_set(error, "a value of %zu bytes; one has at most %u", length,
				 MEMBERSHIP_VALUE_MAX);
	if (kind == KIND_DRAINED)
		return add_change(changes, kind, CHANGE_SET, &entry, error);
	object = json_loadb(value, length, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(object))
		result = error_set(error, "the value is not an object of JSON");
	else if (kind == KIND_MEMBER)
		result = read_member(object, &entry, addresses, error);
	else
		result = read_assignment(object, &entry, error);
	if (result == 0)
		result = add_change(changes, kind, CHANGE_SET, &entry, error);
	json_decref(object);
	return result;
}

int membership_changes_add(struct membership_changes *changes, const char *key, size_t key_length,
			   const char *value, size_t value_length, struct error *error)
{
	struct entry entry = { 0 };
	enum kind kind = key_kind(key, key_length, &entry);
	struct error failed;

	if (check_key(kind, &entry, error))
		return -1;
	if (!value)
		return add_change(changes, kind, CHANGE_DELETE, &entry, error);
	if (add_value(changes, kind, entry, value, value_length, error) == 0)
		return 0;
	if (changes->whole && add_change(changes, kind, CHANGE_KEEP, &entry, &failed))
		*error = failed;
	return -1;
}

/* --- the merge */

/* What a merge does with the entries that there will be, in order. */
struct sink {
	size_t counts[KINDS], text_size;
	struct membership *map; /* NULL: only count */
	char *place;		/* for the next text */
};

static void emit(struct sink *sink, enum kind kind, const struct entry *from)
{
	size_t number = sink->counts[kind]++;
	struct entry entry;

	sink->text_size += entry_size(from);
	if (!sink->map)
		return;
	entry = copy_entry(from, &sink->place);
	switch (kind) {
	case KIND_MEMBER:
		sink->map->members[number] = (struct cluster_member){
			.name = entry.key,
			.weight = entry.number,
			.version = entry.texts[0],
			.addresses = entry.texts[1],
		};
		break;
	case KIND_DRAINED:
		sink->map->drained[number] = entry.key;
		break;
	default:
		sink->map->assignments[number] = (struct cluster_assignment){
			.prefix = entry.key,
			.length = entry.length,
			.member = entry.texts[0],
			.verdict = entry.number,
		};
	}
}

static int compare_changes(const void *left, const void *right)
{
	const struct change *a = *(struct change *const *)left, *b = *(struct change *const *)right;
	int order = a->kind == b->kind ? compare_keys(&a->entry, &b->entry) : 0;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return order ? order : (a->number > b->number) - (a->number < b->number);
}

static bool is_same_key(const struct change *a, const struct change *b)
{
	return a->kind == b->kind && compare_keys(&a->entry, &b->entry) == 0;
}

/* Merge one kind; `next` counts the changes of all kinds. */
static void merge_kind(const struct membership *former, const struct membership_changes *changes,
		       enum kind kind, size_t *next, struct sink *sink)
{
	size_t count = count_of(former, kind), i = 0;

	for (;;) {
		const struct change *change = *next < changes->count ? changes->list[*next] : NULL;
		struct entry entry;
		int order = 1; /* of the change and the former entry */

		if (change && change->kind != kind)
			change = NULL;
		if (i < count)
			entry = entry_of(former, kind, i);
		if (change)
			order = i < count ? compare_keys(&change->entry, &entry) : -1;
		else if (i == count)
			return;
		if (order <= 0)
			++*next;
		if (order >= 0)
			i++;
		if (order > 0) {
			if (!changes->whole)
				emit(sink, kind, &entry);
			continue;
		}
		if (*next < changes->count && is_same_key(change, changes->list[*next])) {
			/* A later one counts; it finds the former entry again. */
			i -= order == 0;
			continue;
		}
		if (change->operation == CHANGE_SET)
			emit(sink, kind, &change->entry);
		else if (change->operation == CHANGE_KEEP && order == 0)
			emit(sink, kind, &entry);
	}
}

static void merge(const struct membership *former, const struct membership_changes *changes,
		  struct sink *sink)
{
	size_t next = 0;

	for (enum kind kind = 0; kind < KINDS; kind++)
		merge_kind(former, changes, kind, &next, sink);
}

static int check_bounds(const struct sink *sink, struct error *error)
{
	for (enum kind kind = 0; kind < KINDS; kind++)
		if (sink->counts[kind] > kinds[kind].max)
			return error_set(error, "%zu %s; at most %zu are possible",
					 sink->counts[kind], kinds[kind].many, kinds[kind].max);
	if (sink->text_size > MEMBERSHIP_TEXT_MAX)
		return error_set(error, "%zu bytes of names and prefixes; at most %u are possible",
				 sink->text_size, MEMBERSHIP_TEXT_MAX);
	return 0;
}

/* Allocate a map for what a sink has counted, with the head's texts; the sink continues with them. */
static struct membership *allocate(struct sink *sink, const struct membership_head *head)
{
	size_t members = sink->counts[KIND_MEMBER] * sizeof(struct cluster_member);
	size_t assignments = sink->counts[KIND_ASSIGNMENT] * sizeof(struct cluster_assignment);
	size_t drained = sink->counts[KIND_DRAINED] * sizeof(char *);
	size_t texts = text_size(head->cluster) + text_size(head->self) + sink->text_size;
	struct counted *made = malloc(sizeof(*made) + members + assignments + drained + texts);
	struct membership *map = made ? &made->map : NULL;
	char *lists;

	if (!made)
		return NULL;
	lists = (char *)(made + 1);
	atomic_init(&made->references, 1);
	*map = (struct membership){
		.revision = head->revision,
		.as_of = head->as_of,
		.isolated = head->isolated,
		.leased = head->leased,
		.member_count = sink->counts[KIND_MEMBER],
		.members = (struct cluster_member *)lists,
		.drained_count = sink->counts[KIND_DRAINED],
		.drained = (const char **)(lists + members + assignments),
		.assignment_count = sink->counts[KIND_ASSIGNMENT],
		.assignments = (struct cluster_assignment *)(lists + members),
		.text_size = sink->text_size,
	};
	*sink = (struct sink){ .map = map, .place = lists + members + assignments + drained };
	map->cluster = put_text(&sink->place, head->cluster, strlen(head->cluster));
	map->self = put_text(&sink->place, head->self, strlen(head->self));
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

const struct membership *membership_make(const struct membership *former,
					 struct membership_changes *changes,
					 const struct membership_head *head, struct error *error)
{
	struct membership_changes none = { .sorted = true };
	struct sink sink = { .map = NULL };

	if (!changes)
		changes = &none;
	if (!changes->sorted && changes->count)
		qsort(changes->list, changes->count, sizeof(*changes->list), compare_changes);
	changes->sorted = true;
	merge(former, changes, &sink);
	if (check_bounds(&sink, error))
		return NULL;
	if (!allocate(&sink, head)) {
		error_set(error, OUT_OF_MEMORY);
		return NULL;
	}
	merge(former, changes, &sink);
	mark_drained(sink.map);
	return sink.map;
}
