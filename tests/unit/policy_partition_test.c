// SPDX-License-Identifier: GPL-2.0-or-later
/* The kind partition; owners are from an independent program by the definition in the manual. */
#include "cluster/registry.h"
#include "support/images.h"
#include "support/policies.h"

#define FOUR "members = { a, 'b 200', c, 'd 50' } "
#define COMMON "kind = partition key = 'host+1' " FOUR

static void assert_place(const struct policy *policy, const char *url, enum icp_opcode verdict,
			 int cost)
{
	struct query query = { .url = url, .length = strlen(url) };
	struct policy_match match = policy_match(policy, &query);

	assert_int_equal(match.verdict, verdict);
	assert_int_equal(match.has_cost ? match.cost : ICP_NO_COST, cost);
}

TEST(places)
{
	/* The order of all four members. */
	static const struct {
		const char *url, *order;
	} urls[] = {
		{ "http://www.example.org/docs/x", "abcd" },
		{ "http://www.example.org/docs/y?z", "abcd" },
		{ "http://www.example.org/img/1/2", "bcda" },
		{ "http://WWW.example.org/img/", "bcda" },
		{ "https://e.org:8443/a/b/c", "cbad" },
		{ "urn:x", "cabd" },
		{ "e.org:443", "bcad" },
	};

	for (char self = 'a'; self <= 'd'; self++) {
		struct policy *policy = make_policy(formatted(COMMON "member = %c", self));

		for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
			long place = strchr(urls[i].order, self) - urls[i].order;

			assert_place(policy, urls[i].url, place ? ICP_OP_MISS : ICP_OP_HIT,
				     place == 1 || place == 2 ? place : ICP_NO_COST);
		}
		policy_free(policy);
	}
}

TEST(other_verdicts_and_depths)
{
	struct policy *policy =
		make_policy(COMMON "member = b verdict = miss others = denied depth = 1");

	assert_place(policy, "e.org:443", ICP_OP_MISS, ICP_NO_COST);
	assert_place(policy, "http://www.example.org/docs/", ICP_OP_DENIED, ICP_NO_COST);
	policy_free(policy);
	policy = make_policy(COMMON "member = d depth = 15");
	assert_place(policy, "http://www.example.org/img/", ICP_OP_MISS, 2);
	assert_place(policy, "https://e.org:8443/a/", ICP_OP_MISS, 3);
	policy_free(policy);
}

/* Below an assigned prefix all URLs have one owner, and the successors of the prefix itself. */
TEST(assigned)
{
	static const char assign[] = "assign = { 'http://www.example.org/admin/ c', "
				     "'http://www.example.org/admin/x/ b', "
				     "'http://www.example.org/admin/x/y miss_nofetch' }";
	static const char *const orders[] = { "cabd", "bdca" };

	for (char self = 'a'; self <= 'd'; self++) {
		struct policy *policy =
			make_policy(formatted(COMMON "member = %c %s", self, assign));
		for (int i = 0; i < 2; i++) {
			long place = strchr(orders[i], self) - orders[i];
			enum icp_opcode verdict = place ? ICP_OP_MISS : ICP_OP_HIT;
			int cost = place == 1 || place == 2 ? place : ICP_NO_COST;

			assert_place(policy,
				     i ? "http://www.example.org/admin/x/1"
				       : "http://www.example.org/admin/1/2/3",
				     verdict, cost);
			assert_place(policy,
				     i ? "http://www.example.org/admin/x/"
				       : "http://www.example.org/admin/x",
				     verdict, cost);
		}
		assert_place(policy, "http://www.example.org/admin/x/yy", ICP_OP_MISS_NOFETCH,
			     ICP_NO_COST);
		policy_free(policy);
	}
}

static void explained(const struct policy *policy, const char *url, const char *expected)
{
	struct query query = { .url = url, .length = strlen(url) };
	char text[2048];

	policy->kind->explain(policy, &query, text, sizeof(text));
	assert_string_equal(text, expected);
}

TEST(explanations)
{
	struct policy *policy = make_policy(
		COMMON "member = b assign = { 'http://www.example.org/admin/ c', 'urn: miss' }");
	char text[30];

	explained(policy, "http://u@www.example.org:80/img/1/2",
		  "key www.example.org:80/img/: owner a, then c, d");
	explained(policy, "http://www.example.org/admin/7",
		  "prefix http://www.example.org/admin/: owner c, then a, b");
	explained(policy, "urn:x", "prefix urn:: a verdict for all members");
	/* Never more than there is room for. */
	policy->kind->explain(policy, &(struct query){ .url = "e.org:443", .length = 9 }, text,
			      sizeof(text));
	assert_string_equal(text, "key e.org:443: owner b, then ");
	policy_free(policy);
}

/* Let a map of the cluster count. */
static void publish(const char *const keys[][2], bool isolated, bool leased)
{
	struct membership_changes *changes = membership_changes_new(true);
	const struct membership_head head = {
		.cluster = "site",
		.self = "a",
		.isolated = isolated,
		.leased = leased,
	};
	const struct membership *map;
	struct error error;

	for (size_t i = 0; keys[i][0]; i++)
		assert_int_equal(membership_changes_add(changes, keys[i][0], strlen(keys[i][0]),
							keys[i][1], strlen(keys[i][1]), &error),
				 0);
	map = membership_make(NULL, changes, &head, &error);
	assert_non_null(map);
	membership_changes_free(changes);
	assert_int_equal(cluster_publish(map), 0);
	membership_unref(map);
}

/* The share of a thousand URLs that get a verdict and cost. */
static unsigned int share(const struct policy *policy, enum icp_opcode verdict, int cost)
{
	unsigned int count = 0;

	for (int i = 0; i < 1000; i++) {
		char url[64];
		struct query query = { .url = url };
		struct policy_match match;

		query.length = sprintf(url, "http://e.org/%d/", i);
		match = policy_match(policy, &query);
		count += match.verdict == verdict &&
			 (match.has_cost ? match.cost : ICP_NO_COST) == cost;
	}
	return count;
}

TEST(members_of_a_cluster)
{
	static const char *const keys[][2] = {
		{ "members/a", "{\"weight\": 100}" },	    { "members/b", "{\"weight\": 100}" },
		{ "members/c", "{\"weight\": 100}" },	    { "drained/c", "" },
		{ "assign/urn:", "{\"member\": \"c\"}" },   { "assign/x", "{\"member\": \"a\"}" },
		{ "assign/y", "{\"member\": \"nobody\"}" }, { NULL, NULL },
	};
	static const char settings[] = "kind = partition cluster = site key = 'host+1'";
	struct policy *policy = make_policy(settings);
	struct chain *chain;
	unsigned int owned;

	/* As long as no map is known, nothing is anyone's. */
	assert_int_equal(share(policy, ICP_OP_INVALID, ICP_NO_COST), 1000);
	assert_null(policy_partition(policy));
	policy_free(policy);
	chain = make_chain("cluster site { etcd = 'http://a:2379' member = a } "
			   "default = denied policy p { kind = partition cluster = site }");
	assert_int_equal(decide_url(chain, "http://e.org/").verdict.opcode, ICP_OP_DENIED);
	chain_free(chain);

	publish(keys, false, false);
	policy = make_policy(settings);
	owned = share(policy, ICP_OP_HIT, ICP_NO_COST);
	assert_in_range(owned, 400, 600);
	assert_int_equal(share(policy, ICP_OP_MISS, 1), 1000 - owned);
	/* What is assigned to a member that is drained, or not there, goes to its successor. */
	explained(policy, "urn:x", "prefix urn:: owner b, then a");
	assert_place(policy, "xyz", ICP_OP_HIT, ICP_NO_COST);
	explained(policy, "y", "prefix y: owner a, then b");
	policy_free(policy);

	publish(keys, true, false);
	policy = make_policy(settings);
	assert_int_equal(share(policy, ICP_OP_MISS, ICP_NO_COST), 1000);
	assert_place(policy, "xyz", ICP_OP_MISS, ICP_NO_COST);
	policy_free(policy);
	cluster_withdraw("site");
}

/* Without the main thread, neither the kernel nor a worker goes on with a partition that is leased. */
TEST(a_lease)
{
	static const char *const keys[][2] = {
		{ "members/a", "{\"weight\": 100}" },
		{ "assign/urn:", "{\"member\": \"a\"}" },
		{ NULL, NULL },
	};
	static const char *const urls[] = { "http://e.org/7", "http://e.org/8", "urn:x" };

	for (int leased = 0; leased < 2; leased++) {
		struct chain_decision decision;
		struct chain *chain;
		struct image image;

		publish(keys, false, leased);
		chain = make_chain("cluster site { etcd = 'http://a:2379' member = a }\n"
				   "policy '10' { kind = exact verdict = denied url = "
				   "'http://e.org/7' }\n"
				   "policy '20' { kind = partition cluster = site }\n");
		image_build(&image, chain);
		assert_int_equal(image.compiled->horizon, RANK_NONE);
		assert_int_equal(image.chain.first_gate, leased ? 1 : RANK_NONE);
		for (int i = 0; i < 3; i++) {
			struct query query = { .url = urls[i], .length = strlen(urls[i]) };

			assert_int_equal(chain_decide_in_worker(chain, &query, false, &decision),
					 i == 0 || !leased);
			assert_true(chain_decide_in_worker(chain, &query, true, &decision));
			assert_int_equal(decision.rank, i > 0);
		}
		image_free(&image);
		chain_free(chain);
	}
	cluster_withdraw("site");
}

/* Policies behind a partition are never asked: they keep nothing from the kernel. */
TEST(in_the_kernel)
{
	struct chain *chain =
		make_chain("policy '10' { kind = prefix verdict = denied url = 'http://e.org/7' }\n"
			   "policy '20' { " COMMON "member = b assign = { 'http://e.org/ c' } }\n"
			   "policy '30' { kind = regex verdict = err pattern = '(a)\\1' }\n");
	unsigned int places[4] = { 0 };
	struct image image;

	assert_int_equal(chain_reached(chain), 2);
	image_build(&image, chain);
	assert_int_equal(image.compiled->horizon, RANK_NONE);
	for (int i = 0; i < 3000; i++) {
		char url[300];
		size_t length = sprintf(url, "http%s://%s.org/%d/%s", i % 3 ? "" : "s",
					i % 5 ? "f" : "e", i % 97, i % 2 ? "x" : "y/aab?/");
		struct decision kernel = image_decide(&image, url, length);
		struct chain_decision decision = decide_url(chain, url);

		assert_int_equal(kernel.counter, ICP_COUNT_ANSWERED);
		assert_int_equal(kernel.verdict.opcode, decision.verdict.opcode);
		assert_int_equal(kernel.verdict.cost, decision.verdict.cost);
		assert_int_equal(kernel.rank, decision.rank);
		places[kernel.verdict.cost + 1]++;
	}
	for (int i = 0; i < 4; i++)
		assert_true(i == 1 || places[i] > 100);
	image_free(&image);
	chain_free(chain);
}

TEST(configuration_errors)
{
	static const struct {
		const char *settings, *error;
	} wrong[] = {
		{ "",
		  "c:1: policy 'p' has no members; list them in 'members', or name a 'cluster'" },
		{ FOUR "member = e", "c:2: policy 'p': 'e' is not one of the 'members'; set "
				     "'member' to the name of this member" },
		{ "members = { a, 'b 0' } member = a",
		  "c:2: the weight in 'b 0': '0' is not a number from 1 to 10000" },
		{ "members = { a, 'b 10001' } member = a", NULL },
		{ "members = { a, 'b 1x' } member = a", NULL },
		{ "members = { a, hit } member = a", NULL },
		{ "members = { a, '' } member = a", NULL },
		{ "members = { a, 'b/c' } member = a", NULL },
		{ "members = { a, 'b\xff' } member = a", NULL },
		{ "members = { a, b, 'a 7' } member = a", "c:2: 'a' is listed twice, also at c:2" },
		{ FOUR "member = a assign = { 'http://e.org/ e' }",
		  "c:2: 'e' is neither one of the 'members' nor a verdict, which can be "
		  "hit, miss, miss_nofetch, denied or err" },
		{ FOUR "member = a assign = { 'http://e.org/' }", NULL },
		{ FOUR "member = a assign = { ' a' }", NULL },
		{ FOUR "member = a assign = { 'x a', 'x b' }",
		  "c:2: 'x' is listed twice, also at c:2" },
		{ FOUR "member = a not = true", NULL },
		{ FOUR "member = a cost = 5", NULL },
		{ FOUR "member = a depth = 16", NULL },
		{ FOUR "member = a depth = 0", NULL },
		{ FOUR "member = a key = 'host+16'",
		  "c:2: 'host+16' is not a key; write url, host, path, or host+N or path+N for the "
		  "first N directories, with N from 0 to 15" },
		{ FOUR "cluster = site", "c:1: policy 'p': 'members' comes from cluster 'site'; "
					 "leave it out here" },
		{ "cluster = site member = a", NULL },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const char *settings = formatted("kind = partition\n%s", wrong[i].settings);
		struct error error;

		if (wrong[i].error)
			assert_policy_error(settings, wrong[i].error);
		else
			assert_null(try_policy(settings, &error));
	}
}
