// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "lib/byteset.h"
#include "lib/vec.h"
#include "server/rule_search.h"

int rule_search_add(struct rule_search *search, const char *url, size_t length, size_t tag)
{
	struct rule_search_url *added = vec_append(search->urls, search->count);

	if (!added)
		return -1;
	*added = (struct rule_search_url){
		.url = malloc(length + 1),
		.length = length,
		.tag = tag,
	};
	if (!added->url) {
		search->count--;
		return -1;
	}
	memcpy(added->url, url, length);
	return 0;
}

static int by_url(const void *left, const void *right)
{
	const struct rule_search_url *a = left, *b = right;

	return byteset_compare(a->url, a->length, b->url, b->length);
}

/* In byte order, the URLs with a common prefix are adjacent. */
static int match_rule(void *context, const char *prefix, size_t length, enum icp_opcode verdict)
{
	struct rule_search *search = context;
	size_t first = 0, end = search->count;

	while (first < end) {
		size_t middle = first + (end - first) / 2;
		const struct rule_search_url *one = &search->urls[middle];

		if (byteset_compare(one->url, one->length, prefix, length) < 0)
			first = middle + 1;
		else
			end = middle;
	}
	for (; first < search->count; first++) {
		struct rule_search_url *one = &search->urls[first];

		if (one->length < length || memcmp(one->url, prefix, length) != 0)
			break;
		if (!one->found || length > one->prefix)
			one->prefix = length;
		one->found = true;
	}
	return 0;
}

int rule_search_step(struct rule_search *search, struct rules *rules, struct error *error)
{
	if (!search->sorted && search->count)
		qsort(search->urls, search->count, sizeof(*search->urls), by_url);
	search->sorted = true;
	return rules_step(rules, &search->cursor, match_rule, search, error);
}

void rule_search_free(struct rule_search *search)
{
	for (size_t i = 0; i < search->count; i++)
		free(search->urls[i].url);
	free(search->urls);
	*search = (struct rule_search){ 0 };
}
