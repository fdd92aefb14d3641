// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "icp/opcode.h"
#include "lib/escape.h"
#include "lib/vec.h"
#include "prefix.h"
#include "server/rule_change.h"
#include "server/rule_list.h"

/* What the change does to one prefix. */
struct step {
	const struct rule_line *before; /* NULL: it is inserted */
	const struct rule_line *after;	/* NULL: it is removed */
	size_t family;
	/* Of the family: it has more rules afterwards; what decides about its place. */
	bool grows;
	ssize_t need;
};

/* In two sorted lists, before and wanted. */
struct places {
	size_t before, wanted;
};

struct rule_change {
	struct rules *rules;
	bool replace;
	struct rule_list wanted, before;
	struct rules_cursor cursor; /* of the walk through the rules as they were */
	enum {
		STAGE_READ,
		STAGE_WRITE,
		STAGE_UNDO
	} stage;
	struct step *steps;
	size_t count;
	size_t next; /* step to write, or behind the one to undo */
	size_t removed;
	struct error reason;	/* for undoing */
	struct byteset *result; /* of a change to a table in the daemon; as far as it is built */
	struct places built;
};

struct rule_change *rule_change_new(struct rules *rules, bool replace)
{
	struct rule_change *change = calloc(1, sizeof(*change));

	if (change) {
		change->rules = rules;
		change->replace = replace;
	}
	return change;
}

void rule_change_free(struct rule_change *change)
{
	if (!change)
		return;
	rule_list_free(&change->wanted);
	rule_list_free(&change->before);
	free(change->steps);
	byteset_free(change->result);
	free(change);
}

int rule_change_add(struct rule_change *change, const char *prefix, size_t length,
		    enum icp_opcode verdict, struct error *error)
{
	if (length > PREFIX_URL_MAX)
		return error_set(error, "a rule's prefix has at most %u bytes, this one %zu",
				 PREFIX_URL_MAX, length);
	if (rule_list_add(&change->wanted, prefix, length, verdict, change->wanted.count))
		return error_set(error, "out of memory");
	return 0;
}

bool rule_change_writes(const struct rule_change *change)
{
	return change->stage != STAGE_READ;
}

size_t rule_change_written(const struct rule_change *change, size_t *all)
{
	*all = change->count;
	return change->next;
}

size_t rule_change_removed(const struct rule_change *change)
{
	return change->removed;
}

/* --- messages */

#define SHOWN_SIZE (ESCAPE_MAX * PREFIX_URL_MAX + 1)

static const char *show(const struct rule_line *rule, char text[SHOWN_SIZE])
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < rule->length; i++, used = strlen(text))
		escape_byte((unsigned char)rule->prefix[i], text + used);
	return text;
}

static enum rule_change_state missing(const struct rule_line *rule, struct error *error)
{
	char text[SHOWN_SIZE];

	error_write(error, "there is no rule '%s'; `icpctl rules list` shows what there is",
		    show(rule, text));
	return RULE_CHANGE_MISSING;
}

/* --- the plan */

/* Drop repeated prefixes from a sorted list. `strict`: they must have the same verdict. */
static int drop_repeated(struct rule_list *list, bool strict, struct error *error)
{
	size_t kept = list->count ? 1 : 0;
	char text[SHOWN_SIZE];

	for (size_t i = 1; i < list->count; i++) {
		struct rule_line *rule = &list->rules[i], *last = &list->rules[kept - 1];

		if (rule_compare(last, rule) != 0) {
			list->rules[kept++] = *rule;
			continue;
		}
		if (strict && last->verdict != rule->verdict)
			return error_set(error, "rule '%s' is given twice, with different verdicts",
					 show(rule, text));
		free(rule->prefix);
	}
	list->count = kept;
	return 0;
}

static const struct rule_line *line_of(const struct step *step)
{
	return step->after ? step->after : step->before;
}

static enum rule_change_state plan_step(struct rule_change *change, const struct rule_line *before,
					const struct rule_line *after, struct error *error)
{
	struct step *step;

	if (after && after->verdict == ICP_OP_INVALID) {
		if (!before)
			return missing(after, error);
		after = NULL;
	} else if (after ? before && before->verdict == after->verdict : !change->replace) {
		return RULE_CHANGE_RUNS; /* nothing changes */
	}
	step = vec_append(change->steps, change->count);
	if (!step) {
		error_write(error, "out of memory");
		return RULE_CHANGE_FAILED;
	}
	*step = (struct step){ .before = before, .after = after };
	return RULE_CHANGE_RUNS;
}

/* Take the next prefix; what it was and what is wanted, one of them NULL or none. False: no more. */
static bool next_prefix(const struct rule_change *change, struct places *places,
			const struct rule_line **was, const struct rule_line **will)
{
	const struct rule_line *before = change->before.rules + places->before;
	const struct rule_line *wanted = change->wanted.rules + places->wanted;
	bool more_before = places->before < change->before.count;
	bool more_wanted = places->wanted < change->wanted.count;
	int order = more_before - more_wanted;

	if (more_before && more_wanted)
		order = -rule_compare(before, wanted);
	*was = more_before && order >= 0 ? before : NULL;
	*will = more_wanted && order <= 0 ? wanted : NULL;
	places->before += !!*was;
	places->wanted += !!*will;
	return *was || *will;
}

/* Plan a step for each difference of two sorted lists. */
static enum rule_change_state compare_lists(struct rule_change *change, struct error *error)
{
	enum rule_change_state state = RULE_CHANGE_RUNS;
	const struct rule_line *was, *will;
	struct places places = { 0 };

	while (state == RULE_CHANGE_RUNS && next_prefix(change, &places, &was, &will))
		state = plan_step(change, was, will, error);
	return state;
}

static bool begins_with(const struct rule_line *rule, const struct rule_line *root)
{
	return rule->length >= root->length &&
	       memcmp(rule->prefix, root->prefix, root->length) == 0;
}

/* Number the families of the steps, which are sorted: a family's root precedes its other rules. */
static void find_families(struct rule_change *change)
{
	size_t first = 0, family = 0;

	while (first < change->count) {
		const struct rule_line *root = line_of(&change->steps[first]);
		ssize_t inserted = 0, removed = 0;
		size_t end = first;

		for (; end < change->count && begins_with(line_of(&change->steps[end]), root);
		     end++) {
			inserted += !change->steps[end].before;
			removed += !change->steps[end].after;
		}
		for (; first < end; first++) {
			change->steps[first].family = family;
			change->steps[first].grows = inserted > removed;
			change->steps[first].need = inserted > removed ? -removed : inserted;
		}
		family++;
	}
}

static int compare(ssize_t a, ssize_t b)
{
	return (a > b) - (a < b);
}

/*
 * Families that become smaller come first, those before others that need the least room meanwhile;
 * then the others, those first that give back the most. No order needs less room.
 */
static int in_order(const void *left, const void *right)
{
	const struct step *a = left, *b = right;
	int longer = compare(line_of(a)->length, line_of(b)->length);

	if (a->grows != b->grows)
		return a->grows - b->grows;
	if (a->need != b->need)
		return compare(a->need, b->need);
	if (a->family != b->family)
		return compare(a->family, b->family);
	if (!a->after != !b->after)
		return !a->after - !b->after;
	return a->after ? -longer : longer;
}

/* Is there room after each step? */
static int check_room(const struct rule_change *change, struct error *error)
{
	size_t count = change->before.count, most = count, max = rules_max(change->rules);

	for (size_t i = 0; i < change->count; i++) {
		count += !change->steps[i].before - !change->steps[i].after;
		if (count > most)
			most = count;
	}
	if (count > max)
		return error_set(
			error,
			"there would be %zu rules, and there is no room for more than %zu; "
			"remove some, or set rules_max higher and restart the daemon",
			count, max);
	if (most > max && !rules_are_local(change->rules))
		return error_set(
			error,
			"former and new rules need room for %zu at the same time, and there "
			"is room for %zu; flush the rules first, or set rules_max higher "
			"and restart the daemon",
			most, max);
	return 0;
}

static enum rule_change_state plan(struct rule_change *change, struct error *error)
{
	enum rule_change_state state;

	rule_list_sort(&change->before);
	rule_list_sort(&change->wanted);
	if (drop_repeated(&change->before, false, error) ||
	    drop_repeated(&change->wanted, true, error))
		return RULE_CHANGE_FAILED;
	state = compare_lists(change, error);
	if (state != RULE_CHANGE_RUNS)
		return state;
	find_families(change);
	if (change->count)
		qsort(change->steps, change->count, sizeof(*change->steps), in_order);
	if (check_room(change, error))
		return RULE_CHANGE_FAILED;
	change->stage = STAGE_WRITE;
	return RULE_CHANGE_RUNS;
}

/* --- step by step */

static int remember(void *context, const char *prefix, size_t length, enum icp_opcode verdict)
{
	struct rule_change *change = context;

	return rule_list_add(&change->before, prefix, length, verdict, 0);
}

static enum rule_change_state read_step(struct rule_change *change, struct error *error)
{
	error_write(error, "out of memory"); /* unless the step says something else */
	if (rules_step(change->rules, &change->cursor, remember, change, error))
		return RULE_CHANGE_FAILED;
	return change->cursor.done ? plan(change, error) : RULE_CHANGE_RUNS;
}

static struct rule_write write_of(const struct rule_line *rule, const struct rule_line *result)
{
	return (struct rule_write){
		.prefix = rule->prefix,
		.length = rule->length,
		.removes = !result,
		.verdict = result ? result->verdict : ICP_OP_INVALID,
	};
}

#define BUILD_STEP 4096 /* rules */

/* Build the result of the change in a table of its own, and replace the table. */
static enum rule_change_state build_step(struct rule_change *change, struct error *error)
{
	const struct rule_line *was, *will;
	struct byteset_conflict conflict; /* there is none: the prefixes differ */
	bool more = true;

	error_write(error, "out of memory");
	if (!change->result && !(change->result = byteset_new()))
		return RULE_CHANGE_FAILED;
	for (int i = 0; i < BUILD_STEP && more; i++) {
		more = next_prefix(change, &change->built, &was, &will);
		if (more && !will && !change->replace)
			will = was;
		if (more && will && will->verdict != ICP_OP_INVALID &&
		    byteset_append(change->result, will->prefix, will->length, will->verdict, 0))
			return RULE_CHANGE_FAILED;
	}
	if (more)
		return RULE_CHANGE_RUNS;
	if (byteset_finish(change->result, &conflict))
		return RULE_CHANGE_FAILED;
	rules_replace(change->rules, change->result);
	change->result = NULL;
	for (; change->next < change->count; change->next++)
		change->removed += !change->steps[change->next].after;
	return RULE_CHANGE_DONE;
}

static enum rule_change_state write_step(struct rule_change *change)
{
	struct rule_write writes[RULES_STEP];
	size_t count = 0, done;
	int result;

	for (; count < RULES_STEP && change->next + count < change->count; count++) {
		const struct step *step = &change->steps[change->next + count];

		writes[count] = write_of(line_of(step), step->after);
	}
	result = rules_write(change->rules, writes, count, &done, &change->reason);
	for (; done; done--)
		change->removed += !change->steps[change->next++].after;
	if (result)
		change->stage = STAGE_UNDO;
	else if (change->next == change->count)
		return RULE_CHANGE_DONE;
	return RULE_CHANGE_RUNS;
}

/* Undo the last steps, from the last one on: what a lookup finds in between is as before. */
static enum rule_change_state undo_step(struct rule_change *change, struct error *error)
{
	struct rule_write writes[RULES_STEP];
	size_t count = 0, done;
	int result;

	for (; count < RULES_STEP && count < change->next; count++) {
		const struct step *step = &change->steps[change->next - 1 - count];

		writes[count] = write_of(line_of(step), step->before);
	}
	result = rules_write(change->rules, writes, count, &done, error);
	change->next -= done;
	if (result) {
		error_prefix(error,
			     "%s; %zu of the rules that had been changed before could not be "
			     "restored: ",
			     change->reason.text, change->next);
		return RULE_CHANGE_FAILED;
	}
	if (change->next)
		return RULE_CHANGE_RUNS;
	*error = change->reason;
	return RULE_CHANGE_FAILED;
}

/* A change of one rule needs no plan. */
static enum rule_change_state write_one(struct rule_change *change, struct error *error)
{
	const struct rule_line *rule = &change->wanted.rules[0];
	int result;

	if (rule->verdict != ICP_OP_INVALID)
		result = rules_put(change->rules, rule->prefix, rule->length, rule->verdict, error);
	else
		result = rules_remove(change->rules, rule->prefix, rule->length, error);
	if (result > 0)
		return missing(rule, error);
	change->removed = rule->verdict == ICP_OP_INVALID;
	return result ? RULE_CHANGE_FAILED : RULE_CHANGE_DONE;
}

enum rule_change_state rule_change_step(struct rule_change *change, struct error *error)
{
	if (change->wanted.count == 1 && !change->replace)
		return write_one(change, error);
	switch (change->stage) {
	case STAGE_READ:
		return read_step(change, error);
	case STAGE_WRITE:
		return rules_are_local(change->rules) ? build_step(change, error)
						      : write_step(change);
	default:
		return undo_step(change, error);
	}
}
