// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "lib/byteset.h"
#include "lib/vec.h"
#include "server/rule_list.h"

int rule_list_add(struct rule_list *list, const char *prefix, size_t length,
		  enum icp_opcode verdict, size_t line)
{
	struct rule_line *rule = vec_append(list->rules, list->count);

	if (!rule)
		return -1;
	rule->prefix = malloc(length + 1);
	if (!rule->prefix) {
		list->count--;
		return -1;
	}
	memcpy(rule->prefix, prefix, length);
	rule->prefix[length] = '\0';
	rule->length = length;
	rule->verdict = verdict;
	rule->line = line;
	return 0;
}

int rule_compare(const struct rule_line *a, const struct rule_line *b)
{
	return byteset_compare(a->prefix, a->length, b->prefix, b->length);
}

static int by_prefix_and_line(const void *left, const void *right)
{
	const struct rule_line *a = left, *b = right;
	int difference = rule_compare(a, b);

	return difference ? difference : (a->line > b->line) - (a->line < b->line);
}

void rule_list_sort(struct rule_list *list)
{
	if (list->count)
		qsort(list->rules, list->count, sizeof(*list->rules), by_prefix_and_line);
}

void rule_list_free(struct rule_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->rules[i].prefix);
	free(list->rules);
	*list = (struct rule_list){ 0 };
}
