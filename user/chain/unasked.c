// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <string.h>

#include "chain/unasked.h"
#include "lib/byteset.h"
#include "lib/escape.h"
#include "policy/url.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define OTHERS "0123456789+-_" /* of schemes; a dot is more likely a host's */
#define SHOWN 64	       /* bytes of an entry */

static bool is_text(const char *bytes, size_t length, const char *text)
{
	return length == strlen(text) && memcmp(bytes, text, length) == 0;
}

static bool has_default_port(const char *scheme, size_t scheme_length, const char *port)
{
	static const struct {
		const char *scheme, *port;
	} defaults[] = { { "http", ":80" }, { "https", ":443" }, { "ftp", ":21" } };

	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		if (is_text(scheme, scheme_length, defaults[i].scheme) &&
		    is_text(port, strcspn(port, "/?#"), defaults[i].port))
			return true;
	return false;
}

/*
 * Return why caches ask for no URL that begins with the text. NULL: they may. `whole`: the text is
 * the URL.
 */
static const char *why_unasked(const char *text, bool whole)
{
	size_t scheme = strspn(text, LOWER UPPER OTHERS), end;
	bool ends = text[scheme] == '\0' && !whole; /* within the scheme */
	const char *host, *port;

	if (text[scheme] != ':' && !ends)
		return "it has no scheme, such as http://";
	if (strcspn(text, UPPER) < scheme)
		return "caches write the scheme in lower case";
	if (ends || strncmp(text + scheme, "://", 3))
		return NULL;
	host = text + scheme + 3;
	end = strcspn(host, "/?#");
	if (memchr(host, '@', end))
		return NULL;
	if (strcspn(host, UPPER) < end)
		return "caches write the host in lower case";
	if (host[end] != '/' && (whole || host[end]))
		return "caches write a / behind the host";
	port = memrchr(host, ':', end);
	if (port && host[end] && has_default_port(text, scheme, port))
		return "caches leave out the scheme's default port";
	return NULL;
}

void policy_find_unasked(const struct policy *policy, struct unasked *unasked)
{
	const struct byteset *texts = policy_texts(policy);

	*unasked = (struct unasked){ 0 };
	if (!texts || policy->kind->reading != URL_FORWARD)
		return;
	unasked->entries = byteset_count(texts);
	for (size_t i = 0; i < unasked->entries; i++) {
		const struct byteset_member member = byteset_get(texts, i);
		bool whole = member.length && member.text[member.length - 1] == '\0';
		char text[URL_MAX + 1];
		const char *why;

		snprintf(text, sizeof(text), "%.*s", (int)member.length, member.text);
		why = why_unasked(text, whole);
		if (!why || unasked->count++)
			continue;
		unasked->why = why;
		text[SHOWN] = '\0';
		escape_line(text, unasked->first, sizeof(unasked->first));
	}
}
