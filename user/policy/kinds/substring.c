// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The URL contains one of `texts`. Of those that it contains, the first in the list gives the
 * verdict; texts in the policy precede those in its file.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/kinds.h"
#include "lib/ahocorasick.h"
#include "lib/vec.h"
#include "policy/url.h"

struct substring {
	struct ahocorasick *search;
	uint8_t *verdicts; /* of the texts, in the order of the list */
};

/* The texts while they are read, each with a NUL; the search does not retain them. */
struct texts {
	char *bytes;
	size_t used, allocated;
	size_t *lengths;
	uint8_t *verdicts;
	size_t count;
};

static int make_room(struct texts *texts, size_t length)
{
	size_t *lengths;
	uint8_t *verdicts;

	if (texts->allocated - texts->used < length) {
		size_t wanted = 2 * texts->allocated + length;
		char *bytes = realloc(texts->bytes, wanted);

		if (!bytes)
			return -1;
		texts->bytes = bytes;
		texts->allocated = wanted;
	}
	lengths = vec_reserve(texts->lengths, texts->count, sizeof(*lengths));
	if (!lengths)
		return -1;
	texts->lengths = lengths;
	verdicts = vec_reserve(texts->verdicts, texts->count, sizeof(*verdicts));
	if (!verdicts)
		return -1;
	texts->verdicts = verdicts;
	return 0;
}

static int add_text(void *context, const struct text_list *list, const struct text_entry *entry,
		    struct error *error)
{
	struct texts *texts = context;

	if (url_text_check(list, entry, error))
		return -1;
	if (make_room(texts, entry->length + 1))
		return error_set(error, "out of memory");
	memcpy(texts->bytes + texts->used, entry->text, entry->length + 1);
	texts->used += entry->length + 1;
	texts->lengths[texts->count] = entry->length;
	texts->verdicts[texts->count++] = entry->verdict;
	return 0;
}

static struct ahocorasick *make_search(const struct texts *texts)
{
	const char **starts = calloc(texts->count + 1, sizeof(*starts));
	const char *next = texts->bytes;
	struct ahocorasick *search;

	if (!starts)
		return NULL;
	for (size_t i = 0; i < texts->count; i++) {
		starts[i] = next;
		next += texts->lengths[i] + 1;
	}
	search = ahocorasick_new(starts, texts->lengths, texts->count);
	free(starts);
	return search;
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct text_list list = { spec, "texts", "text", policy->verdict };
	struct substring *state = calloc(1, sizeof(*state));
	struct texts texts = { 0 };
	int result = -1;

	if (!state) {
		error_set(error, "out of memory");
	} else if (text_list_read(&list, add_text, &texts, error) == 0) {
		state->search = make_search(&texts);
		state->verdicts = texts.verdicts;
		if (state->search)
			result = 0;
		else
			error_set(error, "%s: policy '%s': too many texts for the memory",
				  spec->where, spec->name);
	}
	free(texts.bytes);
	free(texts.lengths);
	if (result) {
		free(texts.verdicts);
		free(state);
	} else {
		policy->state = state;
	}
	return result;
}

static void destroy(struct policy *policy)
{
	struct substring *state = policy->state;

	ahocorasick_free(state->search);
	free(state->verdicts);
	free(state);
}

static struct policy_match match(const struct policy *policy, const struct query *query)
{
	const struct substring *state = policy->state;
	size_t first = ahocorasick_first(state->search, query->url, query->length);

	if (first == AHOCORASICK_NONE)
		return (struct policy_match){ .verdict = ICP_OP_INVALID };
	return (struct policy_match){ .verdict = state->verdicts[first] };
}

static const struct policy_setting settings[] = {
	{ "texts", "texts that URLs contain", .list = true },
	{ "text", "a single one of them" },
	{ "file", "a file of texts, one a line, optionally with a TAB and its own verdict" },
	{ NULL },
};

const struct policy_kind policy_substring = {
	.name = "substring",
	.help = "the URL contains one of 'texts'; the first in the list gives the verdict",
	.settings = settings,
	.create = create,
	.destroy = destroy,
	.match = match,
};
