// SPDX-License-Identifier: GPL-2.0-or-later
/* Finding the host of a URL, and its normal form. */

#include "support/test.h"
#include "lib/url.h"

TEST(hosts_of_urls)
{
	static const struct {
		const char *url, *host;
	} cases[] = {
		{ "http://e.org/", "e.org" },
		{ "http://e.org", "e.org" },
		{ "http://E.org:80/", "E.org" },
		{ "http://e.org?x=http://f.org/", "e.org" },
		{ "http://e.org#f.org", "e.org" },
		{ "http://user@e.org/", "e.org" },
		{ "http://user:pw@e.org:8080/a@b", "e.org" },
		{ "http://f.org@g.org@e.org/", "e.org" },
		{ "http://f.org:80@e.org/", "e.org" },
		{ "http://e.org/@f.org", "e.org" },
		{ "http://[::1]/", "[::1]" },
		{ "http://u@[2001:db8::1]:80/", "[2001:db8::1]" },
		{ "http://[::1", NULL },
		{ "http://192.0.2.1:3128/", "192.0.2.1" },
		{ "coap+tcp.x-1://e.org:x/", "e.org" },
		{ "http:///a", NULL },
		{ "http://:80/", NULL },
		{ "http://u@/", NULL },
		{ "e.org:443", "e.org" },
		{ "e.org", "e.org" },
		{ "[::1]:443", "[::1]" },
		{ "[::1]", "[::1]" },
		{ "[::1]x", NULL },
		{ "e.org/a", "e.org" },
		{ "e.org:", NULL },
		{ "e.org:44x", NULL },
		{ "urn:isbn:0451450523", NULL },
		{ "http:/a", NULL },
		{ "/a", NULL },
		{ "//e.org/", NULL },
		{ "1http://e.org/", NULL },
		{ "h", "h" },
		{ ":", NULL },
		{ "@", NULL },
		{ "[", NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* Without a NUL, so that a sanitizer sees what is read too far. */
		size_t length = strlen(cases[i].url), found = 0;
		char *url = malloc(length);
		const char *host = "";
		char text[64];
		bool has;

		assert_non_null(url);
		memcpy(url, cases[i].url, length);
		has = url_host_find(url, length, &host, &found);
		snprintf(text, sizeof(text), "%.*s", has ? (int)found : 0, host);
		if (has != (cases[i].host != NULL) || (has && strcmp(text, cases[i].host)))
			fail_msg("'%s': '%s'", cases[i].url, has ? text : "(none)");
		free(url);
	}
}

TEST(normal_forms)
{
	static const struct {
		const char *host, *normal;
	} cases[] = {
		{ "WWW.Example.ORG", "www.example.org" },
		{ "e.org.", "e.org" },
		{ "e.org..", "e.org." },
		{ ".", "." },
		{ "[2001:DB8:0:0::1]", "[2001:db8::1]" },
		{ "[::FFFF:c000:201]", "[::ffff:192.0.2.1]" },
		{ "[V6]", "[v6]" },
		{ "[]", "[]" },
		{ "\xc4", "\xc4" },
		{ "192.0.2.1", "192.0.2.1" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t length = strlen(cases[i].host);
		char *normal = calloc(1, URL_HOST_NORMAL_SIZE(length) + 1);

		assert_non_null(normal);
		length = url_host_normalize(cases[i].host, length, normal);
		assert_int_equal(length, strlen(cases[i].normal));
		assert_string_equal(normal, cases[i].normal);
		free(normal);
	}
}
