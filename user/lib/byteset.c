// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/byteset.h"
#include "lib/bytesort.h"

#define NO_PARENT UINT32_MAX

struct member {
	uint64_t offset : 48; /* of the text in `texts`; the address of one that is lent */
	uint64_t length : 16;
	uint32_t verdict : 8;
	uint32_t cost : 17; /* ICP_NO_COST + 1 is 0 */
	union {
		uint32_t parent; /* index of the member, or NO_PARENT; once finished */
		uint32_t tag;	 /* until then */
	};
};

struct byteset {
	struct member *members;
	size_t count, members_allocated;
	char *texts; /* of all members, concatenated */
	size_t texts_used, texts_allocated;
	bool lent;   /* the texts are not in `texts` */
	bool sorted; /* members have been appended in order so far */
};

int byteset_compare(const char *a, size_t a_length, const char *b, size_t b_length)
{
	int order = memcmp(a, b, a_length < b_length ? a_length : b_length);

	return order ? order : (a_length > b_length) - (a_length < b_length);
}

static const char *text_of(const struct byteset *set, const struct member *member)
{
	return set->lent ? (const char *)(uintptr_t)member->offset : set->texts + member->offset;
}

static int compare_text(const struct byteset *set, const struct member *member, const char *text,
			size_t length)
{
	return byteset_compare(text_of(set, member), member->length, text, length);
}

struct byteset *byteset_new(void)
{
	struct byteset *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	set->sorted = true;
	/* Never NULL, not even if all members are empty. */
	set->texts_allocated = 64;
	set->texts = malloc(set->texts_allocated);
	if (!set->texts) {
		free(set);
		return NULL;
	}
	return set;
}

void byteset_free(struct byteset *set)
{
	if (!set)
		return;
	free(set->members);
	free(set->texts);
	free(set);
}

/* Make room for a member with this text. -1: out of memory, or too much. */
static int make_room(struct byteset *set, const char *text, size_t length)
{
	if (length > BYTESET_TEXT_MAX || set->count >= NO_PARENT)
		return -1;
	/* Linux gives out no larger addresses unless asked to. */
	if (set->lent && (uint64_t)(uintptr_t)text >> 48)
		return -1;
	if (set->count == set->members_allocated) {
		size_t wanted = set->count ? set->count + set->count / 2 + 1 : 16;
		struct member *members = reallocarray(set->members, wanted, sizeof(*members));

		if (!members)
			return -1;
		set->members = members;
		set->members_allocated = wanted;
	}
	if (!set->lent && set->texts_allocated - set->texts_used < length) {
		size_t wanted = set->texts_allocated + set->texts_allocated / 2 + length;
		char *texts = realloc(set->texts, wanted);

		if (!texts)
			return -1;
		set->texts = texts;
		set->texts_allocated = wanted;
	}
	return 0;
}

/* Copy a text behind the others, for which there is room, or note where it is; return its member. */
static struct member store(struct byteset *set, const char *text, size_t length,
			   enum icp_opcode verdict)
{
	struct member member = { .offset = set->texts_used, .length = length, .verdict = verdict };

	if (set->lent) {
		member.offset = (uintptr_t)text;
		return member;
	}
	if (length)
		memcpy(set->texts + set->texts_used, text, length);
	set->texts_used += length;
	return member;
}

void byteset_lend(struct byteset *set)
{
	set->lent = true;
}

int byteset_append(struct byteset *set, const char *text, size_t length, enum icp_opcode verdict,
		   unsigned int tag)
{
	struct member *last;

	if (make_room(set, text, length))
		return -1;
	set->members[set->count] = store(set, text, length, verdict);
	set->members[set->count].tag = tag;
	last = &set->members[set->count++];
	/* Lists are often sorted; then byteset_finish() does not have to. */
	if (set->count > 1 && set->sorted)
		set->sorted = compare_text(set, last - 1, text_of(set, last), length) <= 0;
	return 0;
}

static bool is_prefix(const struct byteset *set, const struct member *prefix,
		      const struct member *member)
{
	return prefix->length <= member->length &&
	       memcmp(text_of(set, prefix), text_of(set, member), prefix->length) == 0;
}

/*
 * A member's parent is the one before it, or one of its ancestors: all that is sorted between a
 * prefix and a text that begins with it begins with it too.
 */
static void find_parents(struct byteset *set)
{
	for (size_t i = 0; i < set->count; i++) {
		uint32_t parent = i ? i - 1 : NO_PARENT;

		while (parent != NO_PARENT &&
		       !is_prefix(set, &set->members[parent], &set->members[i]))
			parent = set->members[parent].parent;
		set->members[i].parent = parent;
	}
}

/* Equal texts keep the order in which they were appended. -1: out of memory. */
static int sort_members(struct byteset *set)
{
	struct bytesort_item *items = reallocarray(NULL, set->count, sizeof(*items));
	struct member *members = reallocarray(NULL, set->count, sizeof(*members));

	if (!items || !members) {
		free(items);
		free(members);
		return -1;
	}
	for (size_t i = 0; i < set->count; i++) {
		items[i].text = text_of(set, &set->members[i]);
		items[i].length = set->members[i].length;
		items[i].number = i;
	}
	bytesort(items, set->count);
	for (size_t i = 0; i < set->count; i++)
		members[i] = set->members[items[i].number];
	free(items);
	free(set->members);
	set->members = members;
	set->members_allocated = set->count;
	return 0;
}

int byteset_finish(struct byteset *set, struct byteset_conflict *conflict)
{
	size_t kept = 0;

	if (!set->sorted && sort_members(set))
		return -1;
	for (size_t i = 0; i < set->count; i++) {
		const struct member *member = &set->members[i];
		const struct member *last = kept ? &set->members[kept - 1] : NULL;

		if (!last || compare_text(set, last, text_of(set, member), member->length) != 0) {
			set->members[kept++] = *member;
		} else if (last->verdict != member->verdict) {
			conflict->first_tag = last->tag;
			conflict->second_tag = member->tag;
			return 1;
		}
	}
	set->count = kept;
	find_parents(set);
	return 0;
}

size_t byteset_count(const struct byteset *set)
{
	return set->count;
}

struct byteset_member byteset_get(const struct byteset *set, size_t index)
{
	const struct member *member = &set->members[index];

	return (struct byteset_member){
		.text = text_of(set, member),
		.length = member->length,
		.verdict = member->verdict,
		.cost = (int)member->cost - 1,
	};
}

void byteset_set(struct byteset *set, size_t index, enum icp_opcode verdict, int cost)
{
	set->members[index].verdict = verdict;
	set->members[index].cost = cost + 1;
}

/* Return the number of members that are not greater than the text. */
static size_t upper_bound(const struct byteset *set, const char *text, size_t length)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_text(set, &set->members[middle], text, length) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool byteset_longest(const struct byteset *set, const char *text, size_t length,
		     struct byteset_member *member)
{
	size_t found = upper_bound(set, text, length);
	const struct member *last;
	uint32_t index = found - 1;
	size_t common = 0;

	if (found == 0)
		return false;
	last = &set->members[index];
	while (common < last->length && common < length &&
	       text_of(set, last)[common] == text[common])
		common++;
	/* Ancestors are prefixes of `last`; those up to the common length are prefixes of both. */
	while (index != NO_PARENT && set->members[index].length > common)
		index = set->members[index].parent;
	if (index == NO_PARENT)
		return false;
	*member = byteset_get(set, index);
	return true;
}

/* Find the index of a text among the members; false: the index at which it would be inserted. */
static bool find(const struct byteset *set, const char *text, size_t length, size_t *index)
{
	size_t bound = upper_bound(set, text, length);

	*index = bound;
	if (bound == 0 || compare_text(set, &set->members[bound - 1], text, length) != 0)
		return false;
	*index = bound - 1;
	return true;
}

int byteset_put(struct byteset *set, const char *text, size_t length, enum icp_opcode verdict)
{
	size_t index;

	if (find(set, text, length, &index)) {
		set->members[index].verdict = verdict;
		return 0;
	}
	if (make_room(set, text, length))
		return -1;
	memmove(&set->members[index + 1], &set->members[index],
		(set->count - index) * sizeof(*set->members));
	set->members[index] = store(set, text, length, verdict);
	set->count++;
	find_parents(set);
	return 0;
}

bool byteset_remove(struct byteset *set, const char *text, size_t length)
{
	size_t index, offset, size;

	if (!find(set, text, length, &index))
		return false;
	offset = set->members[index].offset;
	size = set->members[index].length;
	memmove(set->texts + offset, set->texts + offset + size, set->texts_used - offset - size);
	set->texts_used -= size;
	set->count--;
	memmove(&set->members[index], &set->members[index + 1],
		(set->count - index) * sizeof(*set->members));
	for (size_t i = 0; i < set->count; i++)
		if (set->members[i].offset > offset)
			set->members[i].offset -= size;
	find_parents(set);
	return true;
}
