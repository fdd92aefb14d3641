// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/chains.h"

TEST(no_policy_at_all)
{
	struct chain *chain = make_chain("default = denied");
	struct chain_decision decision = decide_url(chain, "http://e.org/");

	assert_int_equal(decision.verdict.opcode, ICP_OP_DENIED);
	assert_int_equal(decision.verdict.cost, ICP_NO_COST);
	assert_null(decision.policy);
	assert_int_equal(chain_count(chain), 0);
	assert_int_equal(chain_default_verdict(chain), ICP_OP_DENIED);
	assert_int_equal(chain_text_count(chain), 0);
	chain_free(chain);
}

/* The example of the zc.icp README. */
TEST(the_first_name_decides)
{
	struct chain *chain =
		make_chain("policy foo { kind = substring verdict = hit text = foo cost = 7 }"
			   "policy baz { kind = substring verdict = miss_nofetch text = baz }");
	struct chain_decision decision = decide_url(chain, "http://example.com/foo");

	assert_int_equal(decision.verdict.opcode, ICP_OP_HIT);
	assert_int_equal(decision.verdict.cost, 7);
	assert_string_equal(decision.policy->name, "foo");
	decision = decide_url(chain, "http://example.com/baz");
	assert_int_equal(decision.verdict.opcode, ICP_OP_MISS_NOFETCH);
	assert_int_equal(decision.verdict.cost, ICP_NO_COST);
	decision = decide_url(chain, "http://example.com/foo/baz");
	assert_int_equal(decision.verdict.opcode, ICP_OP_MISS_NOFETCH);
	decision = decide_url(chain, "http://example.com/bar");
	assert_int_equal(decision.verdict.opcode, ICP_OP_MISS);
	assert_null(decision.policy);
	chain_free(chain);
}

TEST(names_are_in_the_order_of_bytes)
{
	struct chain *chain = make_chain("policy '\xc3\xa4' { kind = exact verdict = hit url = a }"
					 "policy b { kind = exact verdict = hit url = b }"
					 "policy '!' { kind = exact verdict = hit url = c }"
					 "policy B { kind = exact verdict = hit url = d }"
					 "policy ba { kind = exact verdict = hit url = e }"
					 "policy 10 { kind = exact verdict = hit url = f }"
					 "policy 9 { kind = exact verdict = hit url = g }");
	static const char *const names[] = { "!", "10", "9", "B", "b", "ba", "\xc3\xa4" };

	assert_int_equal(chain_count(chain), 7);
	for (size_t i = 0; i < 7; i++)
		assert_string_equal(chain_policy(chain, i)->name, names[i]);
	assert_int_equal(chain_text_count(chain), 7);
	chain_free(chain);
}

TEST(chains_live_side_by_side)
{
	struct chain *old = make_chain("policy p { kind = prefix verdict = hit url = a }");
	struct error error;
	struct chain *new;

	assert_null(try_chain("policy p { kind = prefix verdict = hit url = 'a", &error));
	new = make_chain("policy p { kind = prefix verdict = denied url = a }");
	assert_int_equal(decide_url(old, "a").verdict.opcode, ICP_OP_HIT);
	assert_int_equal(decide_url(new, "a").verdict.opcode, ICP_OP_DENIED);
	chain_free(old);
	assert_int_equal(decide_url(new, "a").verdict.opcode, ICP_OP_DENIED);
	chain_free(new);
}

TEST(a_spec_without_a_configuration)
{
	struct policy_spec *spec = policy_spec_new("p", "the command line");
	struct policy *policy;
	struct error error;
	struct query query = { .url = "ab", .length = 2 };

	policy_spec_add(spec, "kind", "prefix", "argument 2");
	policy_spec_add(spec, "verdict", "hit", "argument 3");
	assert_int_equal(policy_create(spec, &policy, &error), -1);
	assert_string_equal(error.text,
			    "the command line: policy 'p': 'urls' or 'file' is missing");
	policy_spec_add(spec, "urls", "x", "argument 4");
	policy_spec_add(spec, "urls", "a", "argument 5");
	assert_int_equal(policy_create(spec, &policy, &error), 0);
	assert_int_equal(policy_match(policy, &query).verdict, ICP_OP_HIT);
	policy_free(policy);
	policy_spec_add(spec, "urls", "b c", "argument 6");
	assert_int_equal(policy_create(spec, &policy, &error), -1);
	assert_string_equal(error.text, "argument 6: policy 'p': 'b c' has white space in it; no "
					"URL has, write it as %20");
	policy_spec_free(spec);
}
