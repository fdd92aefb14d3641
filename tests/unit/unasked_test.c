// SPDX-License-Identifier: GPL-2.0-or-later
/* Entries that match no URL in the form in which caches ask for it. */
#include "support/chains.h"
#include "chain/unasked.h"

static const char no_scheme[] = "it has no scheme, such as http://";
static const char scheme_case[] = "caches write the scheme in lower case";
static const char host_case[] = "caches write the host in lower case";
static const char no_path[] = "caches write a / behind the host";
static const char default_port[] = "caches leave out the scheme's default port";

static void assert_why(const char *kind, const char *entry, const char *why)
{
	struct unasked unasked;
	struct chain *chain = make_chain(
		formatted("policy p { kind = %s verdict = hit urls = { 'http://e.org/', '%s' } }",
			  kind, entry));

	policy_find_unasked(chain_policy(chain, 0), &unasked);
	assert_int_equal(unasked.count, why != NULL);
	if (why) {
		assert_int_equal(unasked.entries, 2);
		assert_string_equal(unasked.first, entry);
		assert_string_equal(unasked.why, why);
	}
	chain_free(chain);
}

TEST(prefixes)
{
	static const char *const asked[] = {
		"h",
		"https",
		"http:",
		"http://",
		"http://a",
		"http://a:80",
		"http://a:8080/",
		"https://a:80/",
		"http://a/B:80/",
		"ftp://a:2121/",
		"http://A@b/",
		"urn:X",
		"cache_object://a/",
		"http://[2001:db8::1]/",
		"http://[::80]/",
	};
	static const struct {
		const char *entry, *why;
	} unasked[] = {
		{ "www.e.org/", no_scheme },
		{ "www.e.org", no_scheme },
		{ "//a/", no_scheme },
		{ "HTTP://a/", scheme_case },
		{ "Http", scheme_case },
		{ "http://A", host_case },
		{ "http://www.E.org/", host_case },
		{ "http://a?x", no_path },
		{ "http://a:80/", default_port },
		{ "https://a:443/", default_port },
		{ "ftp://a:21/", default_port },
		{ "http://[2001:db8::1]:80/", default_port },
	};

	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
		assert_why("prefix", asked[i], NULL);
	for (size_t i = 0; i < sizeof(unasked) / sizeof(unasked[0]); i++)
		assert_why("prefix", unasked[i].entry, unasked[i].why);
}

TEST(whole_urls)
{
	assert_why("exact", "http://a/", NULL);
	assert_why("exact", "http", no_scheme);
	assert_why("exact", "http://a", no_path);
	assert_why("exact", "http://a:80", no_path);
	assert_why("exact", "http://a:80/", default_port);
}

TEST(other_kinds)
{
	struct chain *chain = make_chain("policy p { kind = suffix verdict = hit text = 'X' }"
					 "policy q { kind = host verdict = hit host = 'X' }");
	struct unasked unasked;

	for (size_t rank = 0; rank < 2; rank++) {
		policy_find_unasked(chain_policy(chain, rank), &unasked);
		assert_int_equal(unasked.count, 0);
	}
	chain_free(chain);
}
