// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The URL ends in one of `texts`. Of those that it ends in, the longest gives the verdict, as with
 * the kind prefix; a text listed with two verdicts is an error.
 *
 * A suffix of the URL is a prefix of the reversed URL.
 */
#include <stdlib.h>

#include "policy/list.h"
#include "policy/kinds.h"
#include "policy/url.h"

struct suffix {
	struct byteset *set; /* of the texts, reversed */
	size_t longest;	     /* length in bytes; longer suffixes of URLs are not looked up */
};

/* Copy the last `count` bytes of a text in reverse order. */
static void reverse(char *reversed, const char *text, size_t length, size_t count)
{
	for (size_t i = 0; i < count; i++)
		reversed[i] = text[length - 1 - i];
}

static int add_text(void *context, const struct text_list *list, const struct text_entry *entry,
		    struct error *error)
{
	struct suffix *suffix = context;
	char reversed[URL_MAX];

	if (url_text_check(list, entry, error))
		return -1;
	reverse(reversed, entry->text, entry->length, entry->length);
	if (byteset_append(suffix->set, reversed, entry->length, entry->verdict, entry->tag))
		return error_set(error, "out of memory");
	if (entry->length > suffix->longest)
		suffix->longest = entry->length;
	return 0;
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct text_list list = { spec, "texts", "text", policy };
	struct suffix *suffix = calloc(1, sizeof(*suffix));

	policy->state = suffix;
	if (!suffix)
		return error_set(error, "out of memory");
	suffix->set = byteset_new();
	if (!suffix->set)
		return error_set(error, "out of memory");
	if (text_list_read(&list, add_text, suffix, error))
		return -1;
	return text_list_finish_set(&list, suffix->set, "text", error);
}

static void destroy(struct policy *policy)
{
	struct suffix *suffix = policy->state;

	byteset_free(suffix->set);
	free(suffix);
}

static struct policy_match match(const struct policy *policy, const struct query *query)
{
	const struct suffix *suffix = policy->state;
	size_t count = query->length < suffix->longest ? query->length : suffix->longest;
	char reversed[URL_MAX];

	reverse(reversed, query->url, query->length, count);
	return url_set_match(suffix->set, reversed, count);
}

static const struct byteset *texts(const struct policy *policy)
{
	const struct suffix *suffix = policy->state;

	return suffix->set;
}

static const struct policy_setting settings[] = {
	{ "texts", "texts that URLs end in", .list = true },
	{ "text", "a single one of them" },
	{ "file", "a file of texts, one a line, optionally with a TAB and its own verdict" },
	{ NULL },
};

const struct policy_kind policy_suffix = {
	.name = "suffix",
	.help = "the URL ends in one of 'texts'; the longest gives the verdict",
	.basis = POLICY_BASIS_URL,
	.settings = settings,
	.create = create,
	.destroy = destroy,
	.match = match,
	.reading = URL_BACKWARD,
	.texts = texts,
};
