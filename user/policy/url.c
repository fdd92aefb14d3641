// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/byteset.h"
#include "policy/url.h"

const struct policy_setting url_policy_settings[] = {
	{ "urls", "the URLs", .list = true },
	{ "url", "a single URL" },
	{ "file", "a file of URLs, one a line, optionally with a TAB and its own verdict" },
	{ NULL },
};

int url_text_check(const struct text_list *list, const struct text_entry *entry,
		   struct error *error)
{
	if (entry->length > URL_MAX)
		return text_list_error(list, entry->tag, error,
				       "'%.*s...' has %zu bytes; a URL has at most %u", TEXT_SHOWN,
				       entry->text, entry->length, URL_MAX);
	switch (icp_url_form((const __u8 *)entry->text, entry->length, entry->length)) {
	case ICP_FORM_NO_URL:
		return text_list_error(list, entry->tag, error,
				       "there is a NUL behind '%.*s'; no URL has one, leave it out",
				       TEXT_SHOWN, entry->text);
	case ICP_FORM_WHITE_SPACE:
		return text_list_error(list, entry->tag, error,
				       "'%.*s' has white space in it; no URL has, write it as %%20",
				       TEXT_SHOWN, entry->text);
	default:
		return 0;
	}
}

struct url_list {
	struct byteset *set;
	bool whole;
};

static int add_url(void *context, const struct text_list *list, const struct text_entry *entry,
		   struct error *error)
{
	struct url_list *urls = context;

	if (url_text_check(list, entry, error))
		return -1;
	if (urls->whole && entry->length == 0)
		return text_list_error(list, entry->tag, error,
				       "an empty URL; no query has one, leave it out");
	/* A whole URL is stored with its NUL, see url.h. */
	if (byteset_append(urls->set, entry->text, entry->length + urls->whole, entry->verdict,
			   entry->tag))
		return error_set(error, "out of memory");
	return 0;
}

int url_policy_create(struct policy *policy, const struct policy_spec *spec, bool whole,
		      struct error *error)
{
	struct text_list list = { spec, "urls", "url", policy };
	struct url_list urls = { byteset_new(), whole };

	policy->state = urls.set;
	if (!urls.set)
		return error_set(error, "out of memory");
	if (text_list_read(&list, add_url, &urls, error))
		return -1;
	return text_list_finish_set(&list, urls.set, "URL", error);
}

void url_policy_destroy(struct policy *policy)
{
	byteset_free(policy->state);
}

struct policy_match url_set_match(const struct byteset *set, const char *text, size_t length)
{
	struct byteset_member member;

	if (!byteset_longest(set, text, length, &member))
		return (struct policy_match){ .verdict = ICP_OP_INVALID };
	return (struct policy_match){ .verdict = member.verdict };
}

struct policy_match url_policy_match(const struct policy *policy, const struct query *query)
{
	return url_set_match(policy->state, query->url, query->length + 1);
}

const struct byteset *url_policy_texts(const struct policy *policy)
{
	return policy->state;
}
