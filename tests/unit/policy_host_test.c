// SPDX-License-Identifier: GPL-2.0-or-later
/* The kind host. */
#include "support/policies.h"

TEST(hosts_and_domains)
{
	struct policy *policy = make_policy("kind = host verdict = hit hosts = { 'a.example.org', "
					    "'.Example.NET', '192.0.2.1', '[2001:DB8::1]' }");

	assert_int_equal(policy->kind->basis, POLICY_BASIS_URL);
	assert_int_equal(ask_url(policy, "http://a.example.org/"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "http://A.Example.Org.:80/"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "http://user:pw@a.example.org/"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "a.example.org:443"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "http://b.a.example.org/"), NOTHING);
	assert_int_equal(ask_url(policy, "http://example.org/"), NOTHING);
	assert_int_equal(ask_url(policy, "http://xa.example.org/"), NOTHING);
	assert_int_equal(ask_url(policy, "http://f.org/a.example.org"), NOTHING);
	assert_int_equal(ask_url(policy, "http://a.example.org@f.org/"), NOTHING);
	assert_int_equal(ask_url(policy, "http://a.example.org.f.org/"), NOTHING);
	assert_int_equal(ask_url(policy, "urn:a.example.org"), NOTHING);

	assert_int_equal(ask_url(policy, "http://example.net/"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "http://x.y.example.net/"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "http://xexample.net/"), NOTHING);
	assert_int_equal(ask_url(policy, "http://net/"), NOTHING);

	assert_int_equal(ask_url(policy, "http://192.0.2.1:8080/"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "http://192.0.2.11/"), NOTHING);
	assert_int_equal(ask_url(policy, "http://[2001:db8:0::1]:8080/"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "http://[2001:db8::2]/"), NOTHING);
	policy_free(policy);
	policy = make_policy("kind = host verdict = miss not = true host = e.org");
	assert_int_equal(ask_url(policy, "http://e.org/"), NOTHING);
	assert_int_equal(ask_url(policy, "urn:x"), ICP_OP_MISS);
	policy_free(policy);
}

TEST(the_most_specific)
{
	static const char list[] = ".org\terr\n.e.org\tmiss\ne.org\tdenied\na.b.e.org\thit\n"
				   ".b.e.org\tmiss_nofetch\n";
	struct policy *policy = MAKE_LISTED("kind = host", list);

	assert_int_equal(ask_url(policy, "http://org/"), ICP_OP_ERR);
	assert_int_equal(ask_url(policy, "http://f.org/"), ICP_OP_ERR);
	assert_int_equal(ask_url(policy, "http://e.org/"), ICP_OP_DENIED);
	assert_int_equal(ask_url(policy, "http://x.e.org/"), ICP_OP_MISS);
	assert_int_equal(ask_url(policy, "http://b.e.org/"), ICP_OP_MISS_NOFETCH);
	assert_int_equal(ask_url(policy, "http://a.b.e.org/"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "http://x.a.b.e.org/"), ICP_OP_MISS_NOFETCH);
	policy_free(policy);
}

TEST(the_longest_url)
{
	struct policy *policy = make_policy("kind = host verdict = hit host = '.e.org'");
	static char url[16360];

	memset(url, 'x', 16359);
	assert_int_equal(ask_url(policy, url), NOTHING);
	memcpy(url + 16359 - 6, ".E.ORG", 6);
	assert_int_equal(ask_url(policy, url), ICP_OP_HIT);
	policy_free(policy);
}

TEST(configuration_errors)
{
	static const char *const wrong[] = {
		"",	    ".",	  "..e.org", "*.e.org", "http://e.org/", "e.org/",
		"e.org:80", "user@e.org", "::1",     "[::1",	".[::1]",	 "[::1]:80",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_policy_error(
			formatted("kind = host verdict = hit hosts = { e.org,\n'%s' }", wrong[i]),
			formatted("c:2: policy 'p': '%s' is not a host; write www.example.org, "
				  ".example.org for the domain and all below, 192.0.2.1 or "
				  "[2001:db8::1], without a scheme, a port or a path",
				  wrong[i]));
	}
}

TEST(a_host_with_two_verdicts)
{
	LIST_ERROR("kind = host", "e.org\tmiss\n.e.org\thit\nE.org.\tdenied\n",
		   "FILE:3: policy 'p': this host has another verdict at FILE:1; keep one of them");
}
