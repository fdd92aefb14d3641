// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdlib.h>

#include "xdp/rules.h"
#include "prefix.h"
#include "lib/byteset.h"
#include "server/rules.h"

struct rules {
	struct pinned_rules *pinned; /* NULL: use `local` */
	struct byteset *local;
	size_t max;
};

struct rules *rules_pinned(struct pinned_rules *pinned)
{
	struct rules *rules = calloc(1, sizeof(*rules));

	if (!rules)
		return NULL;
	rules->pinned = pinned;
	rules->max = pinned_rules_max(pinned);
	return rules;
}

struct rules *rules_local(size_t max)
{
	struct rules *rules = calloc(1, sizeof(*rules));
	struct byteset_conflict conflict;

	if (!rules)
		return NULL;
	rules->max = max;
	rules->local = byteset_new();
	if (!rules->local || byteset_finish(rules->local, &conflict)) {
		rules_free(rules);
		return NULL;
	}
	return rules;
}

void rules_free(struct rules *rules)
{
	if (rules)
		byteset_free(rules->local);
	free(rules);
}

int rules_find(const struct rules *rules, const char *url, size_t length, enum icp_opcode *verdict)
{
	struct byteset_member member;

	if (rules->pinned) {
		int found = pinned_rules_find(rules->pinned, url, length, verdict);

		return found > 0 && !icp_is_verdict(*verdict) ? -EINVAL : found;
	}
	if (!byteset_longest(rules->local, url, length, &member))
		return 0;
	*verdict = member.verdict;
	return 1;
}

static bool local_has(const struct rules *rules, const char *prefix, size_t length)
{
	struct byteset_member member;

	return byteset_longest(rules->local, prefix, length, &member) && member.length == length;
}

int rules_put(struct rules *rules, const char *prefix, size_t length, enum icp_opcode verdict,
	      struct error *error)
{
	if (rules->pinned)
		return pinned_rules_put(rules->pinned, prefix, length, verdict, error);
	if (length > PREFIX_URL_MAX)
		return error_set(error, "a rule's prefix has at most %u bytes, this one %zu",
				 PREFIX_URL_MAX, length);
	if (byteset_count(rules->local) >= rules->max && !local_has(rules, prefix, length))
		return error_set(error,
				 "there is no room for more than %zu rules; remove some, or set "
				 "rules_max higher and restart the daemon",
				 rules->max);
	if (byteset_put(rules->local, prefix, length, verdict))
		return error_set(error, "out of memory");
	return 0;
}

int rules_remove(struct rules *rules, const char *prefix, size_t length, struct error *error)
{
	if (rules->pinned)
		return pinned_rules_remove(rules->pinned, prefix, length, error);
	return byteset_remove(rules->local, prefix, length) ? 0 : 1;
}

bool rules_are_local(const struct rules *rules)
{
	return !rules->pinned;
}

void rules_replace(struct rules *rules, struct byteset *set)
{
	byteset_free(rules->local);
	rules->local = set;
}

int rules_write(struct rules *rules, const struct rule_write *writes, size_t count, size_t *done,
		struct error *error)
{
	return pinned_rules_write(rules->pinned, writes, count, done, error);
}

int rules_step(struct rules *rules, struct rules_cursor *cursor, rule_callback each, void *context,
	       struct error *error)
{
	size_t count, end;
	int result = 0;

	if (rules->pinned)
		return pinned_rules_step(rules->pinned, cursor, each, context, error);
	count = byteset_count(rules->local);
	end = cursor->walked + RULES_STEP;
	while (cursor->walked < count && cursor->walked < end && !result) {
		struct byteset_member member = byteset_get(rules->local, cursor->walked++);

		result = each(context, member.text, member.length, member.verdict);
	}
	cursor->done = cursor->walked >= count;
	return result;
}

size_t rules_max(const struct rules *rules)
{
	return rules->max;
}
