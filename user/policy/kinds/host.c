// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The URL's host is one of `hosts`; `.example.org` matches the domain and everything below. The
 * most specific entry gives the verdict: the host itself, else the longest domain.
 *
 * That is a longest-prefix match on the host read backward, as readings.h has it: www.e.org is looked
 * up as "gro.e.www." with a NUL. The domain .e.org is stored as "gro.e.", a prefix also of e.org
 * itself; a host is stored with its NUL.
 */
#include <string.h>

#include "policy/list.h"
#include "policy/kinds.h"
#include "lib/url.h"
#include "policy/url.h"

/* Bytes of a key: the normalised host, a dot and a NUL. */
#define KEY_SIZE (URL_HOST_NORMAL_SIZE(URL_MAX) + 2)

/* Write the key of a host or, with `domain`, of a domain without its leading dot. Returns bytes. */
static size_t make_key(const char *host, size_t length, bool domain, char key[KEY_SIZE])
{
	size_t used = url_host_normalize(host, length, key);

	for (size_t i = 0; i < used / 2; i++) {
		char c = key[i];

		key[i] = key[used - 1 - i];
		key[used - 1 - i] = c;
	}
	key[used++] = '.';
	if (!domain)
		key[used++] = '\0';
	return used;
}

static int wrong_host(const struct text_list *list, const struct text_entry *entry,
		      struct error *error)
{
	return text_list_error(
		list, entry->tag, error,
		"'%.*s' is not a host; write www.example.org, .example.org for the "
		"domain and all below, 192.0.2.1 or [2001:db8::1], without a scheme, "
		"a port or a path",
		TEXT_SHOWN, entry->text);
}

/* Is the text what url_host_find() makes of a URL with that host? */
static bool is_host(const char *text, size_t length)
{
	const char *found;
	size_t found_length;

	return url_host_find(text, length, &found, &found_length) && found == text &&
	       found_length == length && !memchr(text, '*', length) && text[0] != '.';
}

static int add_host(void *context, const struct text_list *list, const struct text_entry *entry,
		    struct error *error)
{
	bool domain = entry->text[0] == '.';
	const char *text = entry->text + domain;
	size_t length = entry->length - domain;
	char key[KEY_SIZE];

	if (url_text_check(list, entry, error))
		return -1;
	if (!is_host(text, length) || (domain && text[0] == '['))
		return wrong_host(list, entry, error);
	length = make_key(text, length, domain, key);
	if (byteset_append(context, key, length, entry->verdict, entry->tag))
		return error_set(error, "out of memory");
	return 0;
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct text_list list = { spec, "hosts", "host", policy };

	policy->state = byteset_new();
	if (!policy->state)
		return error_set(error, "out of memory");
	if (text_list_read(&list, add_host, policy->state, error))
		return -1;
	return text_list_finish_set(&list, policy->state, "host", error);
}

static struct policy_match match(const struct policy *policy, const struct query *query)
{
	char key[KEY_SIZE];
	const char *host;
	size_t length;

	if (!url_host_find(query->url, query->length, &host, &length) || length > URL_MAX)
		return (struct policy_match){ .verdict = ICP_OP_INVALID };
	length = make_key(host, length, false, key);
	return url_set_match(policy->state, key, length);
}

static const struct policy_setting settings[] = {
	{ "hosts", "hosts; with a leading dot domains and everything below", .list = true },
	{ "host", "a single one of them" },
	{ "file", "a file of hosts, one a line, optionally with a TAB and its own verdict" },
	{ NULL },
};

const struct policy_kind policy_host = {
	.name = "host",
	.help = "the URL's host is one of 'hosts'; the most specific gives the verdict",
	.basis = POLICY_BASIS_URL,
	.settings = settings,
	.create = create,
	.destroy = url_policy_destroy,
	.match = match,
	.reading = URL_HOST,
	.texts = url_policy_texts,
};
