// SPDX-License-Identifier: GPL-2.0-or-later
/* The kind glob. */
#include <locale.h>

#include "support/policies.h"

TEST(patterns_match_whole_urls)
{
	static const struct {
		const char *pattern, *url;
		bool matches;
	} cases[] = {
		{ "http://e.org/*.png", "http://e.org/a/b/c.png", true },
		{ "http://e.org/*.png", "http://e.org/.png", true },
		{ "http://e.org/*.png", "http://e.org/a.png?x", false },
		{ "http://e.org/*.png", "xhttp://e.org/a.png", false },
		{ "a", "a", true },
		{ "a", "ab", false },
		{ "a?c", "a/c", true },
		{ "a?c", "ac", false },
		{ "a[b-d]e", "ace", true },
		{ "a[b-d]e", "aee", false },
		{ "a[!b-d]e", "aee", true },
		{ "a[!b-d]e", "abe", false },
		{ "a[]]e", "a]e", true },
		{ "a[[:digit:]]e", "a5e", true },
		{ "a[[:digit:]]e", "axe", false },
		{ "*a*b*c*", "xxaxxbxxcxx", true },
		{ "*a*b*c*", "xxaxxcxxbxx", false },
		{ "*", "x", true },
		{ "a\\*b", "a*b", true },
		{ "a\\*b", "axb", false },
		{ "A", "a", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct policy *policy = make_policy(
			formatted("kind = glob verdict = hit pattern = '%s'", cases[i].pattern));

		if (ask_url(policy, cases[i].url) != (cases[i].matches ? ICP_OP_HIT : NOTHING))
			fail_msg("'%s' and '%s'", cases[i].pattern, cases[i].url);
		policy_free(policy);
	}
}

TEST(the_first_in_the_list)
{
	struct policy *policy = MAKE_LISTED("kind = glob verdict = hit patterns = { '*abc' }",
					    "*a*\tmiss\n*ab*\tdenied\n*b\terr\n");

	assert_int_equal(policy->kind->basis, POLICY_BASIS_URL);
	assert_int_equal(ask_url(policy, "abc"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "ab"), ICP_OP_MISS);
	assert_int_equal(ask_url(policy, "xb"), ICP_OP_ERR);
	assert_int_equal(ask_url(policy, "x"), NOTHING);
	policy_free(policy);
}

/* In UTF-8 a single byte above 7f is not a character, and fnmatch() would fail with an error. */
TEST(patterns_see_bytes)
{
	struct policy *policy = make_policy("kind = glob verdict = hit pattern = 'a?c*'");

	if (!setlocale(LC_ALL, "C.UTF-8"))
		skip();
	assert_int_equal(ask_url(policy, "a\xff"
					 "c\xc3"),
			 ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "a\xc3\xa4"
					 "c"),
			 NOTHING);
	setlocale(LC_ALL, "C");
	policy_free(policy);
}

/* Not timed: a matcher with exponential backtracking would not return at all. */
TEST(hostile_urls)
{
	struct policy *policy = make_policy(
		"kind = glob verdict = hit patterns = { '*a*a*a*a*a*a*a*a*a*a*a*a*a*b', "
		"'*a?*a?*a?*[ab]*[!b]*a*a*a*b', '*aaaaaaaaaaaaaaaaaa*aaaaaaaaaaaaaaaaab' }");
	static char url[16360];

	memset(url, 'a', sizeof(url) - 1);
	for (int i = 0; i < 20; i++)
		assert_int_equal(ask_url(policy, url), NOTHING);
	url[16358] = 'b';
	assert_int_equal(ask_url(policy, url), ICP_OP_HIT);
	policy_free(policy);
}

TEST(configuration_errors)
{
	assert_policy_error("kind = glob verdict = hit patterns = { a,\n'' }",
			    "c:2: policy 'p': an empty pattern matches no URL; leave it out");
	assert_policy_error("kind = glob verdict = hit pattern = \"a\\\\\\\\\\\\\"",
			    "c:1: policy 'p': 'a\\\\\\' ends in a backslash that escapes "
			    "nothing; write two to match one");
	assert_policy_error("kind = glob verdict = hit pattern = 'a b'",
			    "c:1: policy 'p': 'a b' has white space in it; no URL has, write it as "
			    "%20");
	assert_policy_error("kind = glob verdict = hit",
			    "c:1: policy 'p': 'patterns' or 'file' is missing");
}
