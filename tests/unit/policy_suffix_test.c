// SPDX-License-Identifier: GPL-2.0-or-later
/* The kind suffix. */
#include "support/policies.h"

TEST(a_url_ends_in_a_text)
{
	struct policy *policy =
		make_policy("kind = suffix verdict = hit texts = { '.png', 'http://e.org/' }");

	assert_int_equal(policy->kind->basis, POLICY_BASIS_URL);
	assert_int_equal(ask_url(policy, "http://e.org/a.png"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, ".png"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "png"), NOTHING);
	assert_int_equal(ask_url(policy, "http://e.org/a.png?"), NOTHING);
	assert_int_equal(ask_url(policy, "http://e.org/a.PNG"), NOTHING);
	assert_int_equal(ask_url(policy, "http://e.org/"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "x"), NOTHING);
	policy_free(policy);
	policy = make_policy("kind = suffix verdict = hit not = true text = a");
	assert_int_equal(ask_url(policy, "ba"), NOTHING);
	assert_int_equal(ask_url(policy, "ab"), ICP_OP_HIT);
	policy_free(policy);
}

TEST(the_longest_gives_the_verdict)
{
	struct policy *policy = MAKE_LISTED("kind = suffix verdict = hit text = png",
					    "g\tmiss\nxpng\tdenied\n\terr\n\xff\tmiss_nofetch\n");

	assert_int_equal(ask_url(policy, "a.png"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "a.xpng"), ICP_OP_DENIED);
	assert_int_equal(ask_url(policy, "a.jpg"), ICP_OP_MISS);
	assert_int_equal(ask_url(policy, "a.gif"), ICP_OP_ERR);
	assert_int_equal(ask_url(policy, "a\xff"), ICP_OP_MISS_NOFETCH);
	assert_state(policy, "read", "4 lines, last changed 20*: /tmp/*");
	policy_free(policy);
}

/* Each text against each URL, the slow way. */
TEST(many_texts)
{
	enum {
		TEXTS = 2000,
		URLS = 5000
	};
	static char texts[TEXTS][9];
	uint64_t seed = 7;
	char *list = calloc(TEXTS, 32);
	size_t size = 0, hits = 0;
	struct policy *policy;

	assert_non_null(list);
	for (size_t i = 0; i < TEXTS; i++) {
		uint32_t length = 1 + random_below(&seed, 8);

		for (uint32_t j = 0; j < length; j++)
			texts[i][j] = "abc"[random_below(&seed, 3)];
		texts[i][length] = '\0';
		/* One verdict for each length: equal texts have the same. */
		size += sprintf(list + size, "%s\t%s\n", texts[i], length % 2 ? "hit" : "denied");
	}
	policy = make_file_policy("kind = suffix", list, size);
	for (size_t i = 0; i < URLS; i++) {
		char url[13] = "";
		size_t length = 1 + random_below(&seed, 12), longest = 0;

		for (size_t j = 0; j < length; j++)
			url[j] = "abcd"[random_below(&seed, 4)];
		for (size_t j = 0; j < TEXTS; j++) {
			size_t own = strlen(texts[j]);

			if (own <= length && own > longest &&
			    strcmp(url + length - own, texts[j]) == 0)
				longest = own;
		}
		hits += longest > 0;
		assert_int_equal(ask_url(policy, url),
				 !longest ? NOTHING : (longest % 2 ? ICP_OP_HIT : ICP_OP_DENIED));
	}
	assert_in_range(hits, 1000, URLS - 500);
	policy_free(policy);
	free(list);
}

TEST(the_longest_url)
{
	struct policy *policy = make_policy("kind = suffix verdict = hit text = yx");
	char url[16360];

	memset(url, 'x', sizeof(url));
	url[16359] = '\0';
	assert_int_equal(ask_url(policy, url), NOTHING);
	url[16357] = 'y';
	assert_int_equal(ask_url(policy, url), ICP_OP_HIT);
	policy_free(policy);
}

TEST(configuration_errors)
{
	assert_policy_error("kind = suffix verdict = hit texts = { a,\n'b c' }",
			    "c:2: policy 'p': 'b c' has white space in it; no URL has, write it as "
			    "%20");
	assert_policy_error("kind = suffix verdict = hit",
			    "c:1: policy 'p': 'texts' or 'file' is missing");
	assert_policy_error("kind = suffix text = a",
			    "c:1: policy 'p': 'verdict' is missing; it can be hit, miss, "
			    "miss_nofetch, denied or err");
}

TEST(a_text_with_two_verdicts)
{
	LIST_ERROR("kind = suffix verdict = hit", "a\nb\tmiss\na\tmiss\n",
		   "FILE:3: policy 'p': this text has another verdict at FILE:1; keep one of them");
}
