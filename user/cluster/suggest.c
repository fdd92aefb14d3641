// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The keys are counted by their heads: the part of a URL that would be assigned, from its beginning to
 * the end of its key or, if that is longer, to the end of the prefix that is assigned already. The owner
 * of a URL follows from its head. Sorted, the heads below a prefix are one range.
 *
 * An assignment is either of a leaf, a head that is the beginning of no other, or of a directory with
 * all heads below it that no longer prefix is assigned to. Leaves are many, and move requests from one
 * member to another: of a pair of members, those of the most suitable sizes are found by binary search.
 * Directories move requests from many members; so the most requested ones alone are tried.
 *
 * Each step takes what reduces the excess most: the sum of what members have above or below the
 * tolerance. Where no step does, two leaves are exchanged.
 */
#include <stdlib.h>
#include <string.h>

#include "cluster/key_counts.h"
#include "cluster/owners.h"
#include "cluster/suggest.h"
#include "lib/byteset.h"
#include "lib/vec.h"

#define PAIR_MEMBERS 8u		   /* that have most or least, and are tried with each other */
#define DIRECTORIES_MAX 256u	   /* the most requested ones, that are tried */
#define DIRECTORY_CELLS (1u << 16) /* and as many only that these are their requests by member */
#define EXCHANGES_MAX 256u	   /* leaves of a member that are tried in exchanges */

/* The leaves of a member that can be moved, the most requested first. */
struct leaves {
	uint32_t *list; /* numbers of heads */
	size_t count;
};

/* A range of heads. */
struct directory {
	size_t begin, end;
	size_t length; /* of the prefix of all of them */
	uint64_t requests;
	bool assigned;	 /* by a suggestion */
	uint64_t *parts; /* of members: the requests that an assignment would move */
};

struct suggest {
	const struct membership *map;
	struct url_key_form form;
	struct owners *owners;
	struct key_counts heads; /* first: the owner; second: length of the assigned prefix, or 0 */
	struct key_count *hottest; /* of the heads, NULL: there are none */
	struct suggest_result result;
	struct leaves *leaves; /* of each member */
	struct directory *directories;
	size_t directory_count, directory_room;
	uint64_t *cells;
};

/* What an assignment would change, to be compared. */
struct step {
	double excess;	  /* change of the excess; negative is good */
	double deviation; /* the same of the sum of squares, if that of the excess is equal */
	unsigned int from, to;
	size_t leaf, back; /* places in lists of leaves; `back`: exchanged for the other */
	struct directory *directory;
	bool exchange;
};

#define NO_LEAF SIZE_MAX

struct suggest *suggest_new(const struct membership *map, const struct url_key_form *form)
{
	struct suggest *suggest = calloc(1, sizeof(*suggest));

	if (!suggest)
		return NULL;
	suggest->map = map;
	suggest->form = *form;
	suggest->owners = owners_new(map);
	suggest->result.members = calloc(map->member_count + 1, sizeof(struct suggest_member));
	suggest->leaves = calloc(map->member_count + 1, sizeof(*suggest->leaves));
	if (suggest->owners && suggest->result.members && suggest->leaves)
		return suggest;
	suggest_free(suggest);
	return NULL;
}

void suggest_free(struct suggest *suggest)
{
	if (!suggest)
		return;
	for (size_t i = 0; suggest->leaves && i < suggest->map->member_count; i++)
		free(suggest->leaves[i].list);
	free(suggest->leaves);
	free(suggest->directories);
	free(suggest->cells);
	free(suggest->result.members);
	free(suggest->result.list);
	key_counts_free(&suggest->heads);
	owners_free(suggest->owners);
	free(suggest);
}

/* The length of the prefix that would be assigned for a key. A host's is up to its path. */
static size_t head_length(const struct url_key_form *form, const struct url_key *key,
			  const char *url, size_t length)
{
	size_t end = key->end;

	if (form->kind != URL_KEY_HOST)
		return end;
	while (end < length && !strchr("/?#", url[end]))
		end++;
	return end + (end < length && url[end] == '/');
}

int suggest_add(struct suggest *suggest, const char *url, size_t length, struct error *error)
{
	struct url_key key = url_key_of(&suggest->form, url, (uint32_t)length);
	struct ownership found = owners_find(suggest->owners, url, length, &key);
	size_t head = head_length(&suggest->form, &key, url, length);
	size_t assigned = found.assigned ? found.assigned->length : 0;

	return key_counts_add(&suggest->heads, url, head > assigned ? head : assigned,
			      (uint16_t)owners_owner(suggest->owners, &found), (uint16_t)assigned,
			      error);
}

/* --- heads */

static const char *text_of(const struct suggest *suggest, size_t head)
{
	return suggest->heads.texts + suggest->heads.list[head].text;
}

static int compare_heads(const void *left, const void *right, void *texts)
{
	const struct key_count *a = left, *b = right;

	return byteset_compare((char *)texts + a->text, a->length, (char *)texts + b->text,
			       b->length);
}

static bool begins(const struct suggest *suggest, size_t head, const char *text, size_t length)
{
	return suggest->heads.list[head].length >= length &&
	       memcmp(text_of(suggest, head), text, length) == 0;
}

static bool has_member(const struct key_count *head)
{
	return head->first < MEMBERSHIP_MEMBERS_MAX;
}

/* Is the head one that can be assigned, without any other? */
static bool is_leaf(const struct suggest *suggest, size_t head)
{
	const struct key_count *one = &suggest->heads.list[head];

	return has_member(one) && one->length <= MEMBERSHIP_PREFIX_MAX &&
	       (head + 1 == suggest->heads.count ||
		!begins(suggest, head + 1, text_of(suggest, head), one->length));
}

static int compare_requests(const void *left, const void *right, void *context)
{
	const struct key_count *list = context;
	uint64_t a = list[*(const uint32_t *)left].requests;
	uint64_t b = list[*(const uint32_t *)right].requests;

	return a != b						    ? (a > b ? -1 : 1)
	       : *(const uint32_t *)left < *(const uint32_t *)right ? -1
								    : 1;
}

/* Sum up the requests, and list the leaves. -1: out of memory. */
static int fill_leaves(struct suggest *suggest)
{
	struct suggest_result *result = &suggest->result;
	struct key_count *list = suggest->heads.list;

	for (size_t i = 0; i < suggest->heads.count; i++) {
		struct leaves *leaves;
		uint32_t *added;

		if (!has_member(&list[i]))
			continue;
		result->requests += list[i].requests;
		result->members[list[i].first].before += list[i].requests;
		if (!suggest->hottest || list[i].requests > suggest->hottest->requests)
			suggest->hottest = &list[i];
		if (!is_leaf(suggest, i))
			continue;
		leaves = &suggest->leaves[list[i].first];
		added = vec_append(leaves->list, leaves->count);
		if (!added)
			return -1;
		*added = (uint32_t)i;
	}
	for (size_t i = 0; i < suggest->map->member_count; i++)
		if (suggest->leaves[i].count)
			qsort_r(suggest->leaves[i].list, suggest->leaves[i].count, sizeof(uint32_t),
				compare_requests, list);
	return 0;
}

/* --- directories */

/* Keep one if it is among the most requested. */
static void offer(struct suggest *suggest, const struct directory *directory)
{
	struct directory *least = suggest->directories;

	if (directory->end - directory->begin < 2 || directory->length > MEMBERSHIP_PREFIX_MAX ||
	    !suggest->directory_room)
		return;
	if (suggest->directory_count < suggest->directory_room) {
		suggest->directories[suggest->directory_count++] = *directory;
		return;
	}
	for (size_t i = 1; i < suggest->directory_count; i++)
		if (suggest->directories[i].requests < least->requests)
			least = &suggest->directories[i];
	if (least->requests < directory->requests)
		*least = *directory;
}

/* The length of the next directory of a text that is longer than `length`; 0: there is none. */
static size_t next_directory(const char *text, size_t size, size_t length)
{
	const char *slash;

	if (!length) {
		const char *authority = memmem(text, size, "://", 3);

		if (!authority)
			return 0;
		length = authority + 3 - text;
	}
	slash = memchr(text + length, '/', size - length);
	return slash ? (size_t)(slash + 1 - text) : 0;
}

/* Find the directories: each is open from the first head below it on to the last. */
static int fill_directories(struct suggest *suggest)
{
	size_t cells =
		suggest->map->member_count ? DIRECTORY_CELLS / suggest->map->member_count : 0;
	struct directory *open = NULL, *added;
	size_t depth = 0;

	suggest->directory_room = cells < DIRECTORIES_MAX ? cells : DIRECTORIES_MAX;
	suggest->directories = calloc(DIRECTORIES_MAX, sizeof(*suggest->directories));
	suggest->cells = calloc(DIRECTORY_CELLS, sizeof(*suggest->cells));
	if (!suggest->directories || !suggest->cells)
		return -1;
	for (size_t i = 0; i <= suggest->heads.count; i++) {
		const struct key_count *head = &suggest->heads.list[i];
		size_t length;

		while (depth && (i == suggest->heads.count ||
				 !begins(suggest, i, text_of(suggest, open[depth - 1].begin),
					 open[depth - 1].length))) {
			open[--depth].end = i;
			offer(suggest, &open[depth]);
		}
		if (i == suggest->heads.count)
			break;
		for (length = depth ? open[depth - 1].length : 0;
		     (length = next_directory(text_of(suggest, i), head->length, length));) {
			added = vec_append(open, depth);
			if (!added) {
				free(open);
				return -1;
			}
			*added = (struct directory){ .begin = i, .length = length };
		}
		for (size_t k = 0; k < depth; k++)
			open[k].requests += has_member(head) ? head->requests : 0;
	}
	free(open);
	return 0;
}

/* Would an assignment of the directory change the owner of a head below it? */
static bool would_move(const struct directory *directory, const struct key_count *head)
{
	return has_member(head) && head->second <= directory->length;
}

static void count_parts(struct suggest *suggest, struct directory *directory)
{
	const struct key_count *list = suggest->heads.list;

	memset(directory->parts, 0, suggest->map->member_count * sizeof(*directory->parts));
	for (size_t i = directory->begin; i < directory->end; i++)
		if (would_move(directory, &list[i]))
			directory->parts[list[i].first] += list[i].requests;
}

static void count_all_parts(struct suggest *suggest)
{
	for (size_t i = 0; i < suggest->directory_count; i++) {
		suggest->directories[i].parts = suggest->cells + i * suggest->map->member_count;
		count_parts(suggest, &suggest->directories[i]);
	}
}

/* --- what a step would change */

static double excess(const struct suggest_member *member, double requests)
{
	double over =
		requests > member->wanted ? requests - member->wanted : member->wanted - requests;

	over -= SUGGEST_TOLERANCE * member->wanted;
	return over > 0 ? over : 0;
}

static double deviation(const struct suggest_member *member, double requests)
{
	double over = requests - member->wanted;

	return member->wanted > 0 ? over * over / member->wanted : 0;
}

/* Add to a step what other requests of a member change. */
static void add_change(const struct suggest *suggest, struct step *step, unsigned int number,
		       double change)
{
	const struct suggest_member *member = &suggest->result.members[number];
	double now = (double)member->after;

	step->excess += excess(member, now + change) - excess(member, now);
	step->deviation += deviation(member, now + change) - deviation(member, now);
}

static void keep_better(struct step *best, const struct step *step)
{
	double difference = step->excess - best->excess;

	if (difference < -1e-6 || (difference < 1e-6 && step->deviation < best->deviation))
		*best = *step;
}

static uint64_t leaf_requests(const struct suggest *suggest, unsigned int member, size_t leaf)
{
	return suggest->heads.list[suggest->leaves[member].list[leaf]].requests;
}

/* The first leaf with at most so many requests, or the number of all. */
static size_t find_leaf(const struct suggest *suggest, unsigned int member, double requests)
{
	size_t begin = 0, end = suggest->leaves[member].count;

	while (begin < end) {
		size_t middle = begin + (end - begin) / 2;

		if ((double)leaf_requests(suggest, member, middle) <= requests)
			end = middle;
		else
			begin = middle + 1;
	}
	return begin;
}

/* Try a leaf for another member, and one of the other for the first if there is `back`. */
static void try_leaf(const struct suggest *suggest, struct step step, struct step *best)
{
	double requests;

	if (step.leaf >= suggest->leaves[step.from].count)
		return;
	requests = (double)leaf_requests(suggest, step.from, step.leaf);
	if (step.exchange) {
		if (step.back >= suggest->leaves[step.to].count)
			return;
		requests -= (double)leaf_requests(suggest, step.to, step.back);
	}
	add_change(suggest, &step, step.from, -requests);
	add_change(suggest, &step, step.to, requests);
	keep_better(best, &step);
}

/* The requests that one member has too many and another too few, without and with the tolerance. */
static void suitable(const struct suggest *suggest, unsigned int from, unsigned int to,
		     double sizes[2])
{
	const struct suggest_member *a = &suggest->result.members[from];
	const struct suggest_member *b = &suggest->result.members[to];

	for (int i = 0; i < 2; i++) {
		double tolerance = i * SUGGEST_TOLERANCE;
		double over = (double)a->after - a->wanted * (1 - tolerance);
		double under = b->wanted * (1 + tolerance) - (double)b->after;

		sizes[i] = over < under ? over : under;
	}
}

static void try_pair(const struct suggest *suggest, unsigned int from, unsigned int to,
		     struct step *best)
{
	struct step step = { .from = from, .to = to };
	double sizes[2];

	suitable(suggest, from, to, sizes);
	for (int i = 0; i < 2; i++) {
		size_t leaf = find_leaf(suggest, from, sizes[i]);

		step.leaf = leaf;
		try_leaf(suggest, step, best);
		step.leaf = leaf - 1; /* more than all: there is none */
		try_leaf(suggest, step, best);
	}
}

/* Try to exchange two leaves whose difference is suitable. */
static void try_exchange(const struct suggest *suggest, unsigned int from, unsigned int to,
			 struct step *best)
{
	struct step step = { .from = from, .to = to, .exchange = true };
	double sizes[2];

	suitable(suggest, from, to, sizes);
	for (; step.leaf < suggest->leaves[from].count && step.leaf < EXCHANGES_MAX; step.leaf++) {
		for (int i = 0; i < 2; i++) {
			double other = (double)leaf_requests(suggest, from, step.leaf) - sizes[i];
			size_t back = find_leaf(suggest, to, other);

			step.back = back;
			try_leaf(suggest, step, best);
			step.back = back - 1;
			try_leaf(suggest, step, best);
		}
	}
}

static void try_directory(const struct suggest *suggest, struct directory *directory,
			  unsigned int to, struct step *best)
{
	struct step step = { .to = to, .leaf = NO_LEAF, .directory = directory };
	uint64_t sum = 0;

	for (unsigned int i = 0; i < suggest->map->member_count; i++) {
		sum += directory->parts[i];
		if (i != to && directory->parts[i])
			add_change(suggest, &step, i, -(double)directory->parts[i]);
	}
	add_change(suggest, &step, to, (double)(sum - directory->parts[to]));
	keep_better(best, &step);
}

/* --- the search */

/* List the members that have most above their share, or below it. Returns their number. */
static size_t list_extremes(const struct suggest *suggest, double sign,
			    unsigned int list[PAIR_MEMBERS])
{
	const struct suggest_member *members = suggest->result.members;
	size_t count = 0;

	for (unsigned int i = 0; i < suggest->map->member_count; i++) {
		double over = sign * ((double)members[i].after - members[i].wanted);
		size_t place = count;

		if (!(members[i].wanted > 0))
			continue;
		while (place > 0 && over > sign * ((double)members[list[place - 1]].after -
						   members[list[place - 1]].wanted))
			place--;
		if (place == PAIR_MEMBERS)
			continue;
		count += count < PAIR_MEMBERS;
		memmove(list + place + 1, list + place, (count - place - 1) * sizeof(*list));
		list[place] = i;
	}
	return count;
}

/* Find the best step. False: none reduces the excess. */
static bool find_step(struct suggest *suggest, struct step *best)
{
	unsigned int from[PAIR_MEMBERS], to[PAIR_MEMBERS];
	size_t from_count = list_extremes(suggest, 1, from);
	size_t to_count = list_extremes(suggest, -1, to);

	*best = (struct step){ .leaf = NO_LEAF };
	for (size_t i = 0; i < from_count; i++)
		for (size_t k = 0; k < to_count; k++)
			if (from[i] != to[k])
				try_pair(suggest, from[i], to[k], best);
	for (size_t i = 0; i < suggest->directory_count; i++)
		for (size_t k = 0; k < to_count && !suggest->directories[i].assigned; k++)
			try_directory(suggest, &suggest->directories[i], to[k], best);
	if (best->excess < -1e-6)
		return true;
	for (size_t i = 0; i < from_count; i++)
		for (size_t k = 0; k < to_count; k++)
			if (from[i] != to[k])
				try_exchange(suggest, from[i], to[k], best);
	return best->excess < -1e-6;
}

static int add_suggestion(struct suggest *suggest, const char *prefix, size_t length,
			  unsigned int to, uint64_t requests)
{
	struct suggestion *added = vec_append(suggest->result.list, suggest->result.count);

	if (!added)
		return -1;
	*added = (struct suggestion){ prefix, length, to, requests };
	return 0;
}

/* Give a head to a member, by an assigned prefix of this length. */
static void move_head(struct suggest *suggest, struct key_count *head, unsigned int to,
		      size_t assigned)
{
	suggest->result.members[head->first].after -= head->requests;
	suggest->result.members[to].after += head->requests;
	head->first = (uint16_t)to;
	head->second = (uint16_t)assigned;
}

static int take_leaf(struct suggest *suggest, unsigned int from, size_t leaf, unsigned int to)
{
	struct leaves *leaves = &suggest->leaves[from];
	size_t number = leaves->list[leaf];
	struct key_count *head = &suggest->heads.list[number];

	leaves->count--;
	memmove(leaves->list + leaf, leaves->list + leaf + 1,
		(leaves->count - leaf) * sizeof(*leaves->list));
	move_head(suggest, head, to, head->length);
	for (size_t i = 0; i < suggest->directory_count; i++) {
		struct directory *directory = &suggest->directories[i];

		if (number >= directory->begin && number < directory->end)
			count_parts(suggest, directory);
	}
	return add_suggestion(suggest, text_of(suggest, number), head->length, to, head->requests);
}

static int take_directory(struct suggest *suggest, struct directory *directory, unsigned int to)
{
	struct key_count *list = suggest->heads.list;
	uint64_t requests = 0;

	for (size_t i = directory->begin; i < directory->end; i++) {
		if (!would_move(directory, &list[i]))
			continue;
		requests += list[i].requests;
		move_head(suggest, &list[i], to, directory->length);
	}
	directory->assigned = true;
	/* What has moved is no longer in its list: a later step would need a second assignment. */
	for (unsigned int member = 0; member < suggest->map->member_count; member++) {
		struct leaves *leaves = &suggest->leaves[member];
		size_t kept = 0;

		for (size_t i = 0; i < leaves->count; i++)
			if (list[leaves->list[i]].first == member)
				leaves->list[kept++] = leaves->list[i];
		leaves->count = kept;
	}
	count_all_parts(suggest);
	return add_suggestion(suggest, text_of(suggest, directory->begin), directory->length, to,
			      requests);
}

static int take(struct suggest *suggest, const struct step *step)
{
	if (step->directory)
		return take_directory(suggest, step->directory, step->to);
	if (step->exchange && take_leaf(suggest, step->to, step->back, step->from))
		return -1;
	return take_leaf(suggest, step->from, step->leaf, step->to);
}

static double sum_excess(const struct suggest *suggest)
{
	double sum = 0;

	for (size_t i = 0; i < suggest->map->member_count; i++)
		sum += excess(&suggest->result.members[i],
			      (double)suggest->result.members[i].after);
	return sum;
}

/*
 * Find the next step. Returns false if the shares are met, if no step helps, or if steps are so
 * small that even the permitted number of them would not suffice: where a key exceeds a share, a
 * long list would gain nothing.
 */
static bool find_useful_step(struct suggest *suggest, struct step *step)
{
	double sum = sum_excess(suggest);
	double left = SUGGEST_MAX - (double)suggest->result.count;

	return sum > 0 && left > 0 && find_step(suggest, step) && -step->excess * left >= sum;
}

static void set_shares(struct suggest *suggest)
{
	const struct membership *map = suggest->map;
	uint64_t weights = 0;

	for (size_t i = 0; i < map->member_count; i++)
		weights += map->members[i].drained ? 0 : map->members[i].weight;
	for (size_t i = 0; i < map->member_count; i++) {
		struct suggest_member *member = &suggest->result.members[i];

		member->after = member->before;
		if (!map->members[i].drained)
			member->wanted = (double)suggest->result.requests * map->members[i].weight /
					 (double)weights;
	}
}

const struct suggest_result *suggest_finish(struct suggest *suggest)
{
	struct suggest_result *result = &suggest->result;
	struct step step;

	if (suggest->heads.count)
		qsort_r(suggest->heads.list, suggest->heads.count, sizeof(*suggest->heads.list),
			compare_heads, suggest->heads.texts);
	if (fill_leaves(suggest) || fill_directories(suggest))
		return NULL;
	set_shares(suggest);
	count_all_parts(suggest);
	while (find_useful_step(suggest, &step))
		if (take(suggest, &step))
			return NULL;
	result->balanced = sum_excess(suggest) <= 0;
	if (suggest->hottest)
		result->hottest = (struct suggestion){
			.prefix = suggest->heads.texts + suggest->hottest->text,
			.length = suggest->hottest->length,
			.to = suggest->hottest->first,
			.requests = suggest->hottest->requests,
		};
	return result;
}
