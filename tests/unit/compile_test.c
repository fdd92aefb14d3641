// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel decides by a compiled chain as the chain itself does. */
#include "support/chains.h"
#include "chain/compile.h"
#include "decide.h"
#include "lib/byteset.h"
#include "support/trees.h"

#define OPAQUE "(?=)" /* begins a pattern that has no automaton */

static struct decision kernel_decides(struct tree *tree, const struct compiled *compiled,
				      const char *url)
{
	struct candidate best =
		candidate_of(compiled->default_rank, compiled->default_verdict, ICP_NO_COST);
	size_t length = strlen(url);
	__u32 answer;

	if (length > PREFIX_URL_MAX)
		return decision_pass(ICP_COUNT_PASSED_LONG);
	answer = tree_find(tree, url, length);
	assert_int_not_equal(answer, PREFIX_COLLISION);
	if (answer != PREFIX_NO_ANSWER) {
		const struct prefix_answer *said = &compiled->answers[answer - 1];

		best = candidate_of(said->rank, said->verdict, said->cost);
	}
	if (best.rank >= compiled->horizon)
		return decision_pass(ICP_COUNT_PASSED_HORIZON);
	return decision_answer(best.verdict.opcode, best.verdict.cost);
}

/* Does a policy before the horizon decide, or is there no horizon? Then the kernel must, too. */
static bool must_answer(const struct chain *chain, const struct chain_decision *decision)
{
	struct error reason;

	for (size_t rank = 0; rank < chain_count(chain); rank++) {
		if (!policy_in_kernel(chain_policy(chain, rank), &reason))
			return false;
		if (chain_policy(chain, rank) == decision->policy)
			return true;
	}
	return true;
}

static void assert_same_answer(const struct chain *chain, struct tree *tree,
			       const struct compiled *compiled, const char *url)
{
	struct chain_decision expected = decide_url(chain, url);
	struct decision decision = kernel_decides(tree, compiled, url);

	if (strlen(url) > PREFIX_URL_MAX) {
		assert_int_equal(decision.counter, ICP_COUNT_PASSED_LONG);
		return;
	}
	if (!must_answer(chain, &expected)) {
		assert_int_equal(decision.counter, ICP_COUNT_PASSED_HORIZON);
		return;
	}
	assert_int_equal(decision.counter, ICP_COUNT_ANSWERED);
	assert_int_equal(decision.verdict.opcode, expected.verdict.opcode);
	assert_int_equal(decision.verdict.cost, expected.verdict.cost);
}

static const struct prefix_answer *said_by(const struct compiled *compiled,
					   const struct prefix_entry *entry)
{
	assert_in_range(entry->answer, 1, compiled->answer_count);
	return &compiled->answers[entry->answer - 1];
}

/* Each entry differs from its nearest ancestor, or it would be redundant. */
static void assert_minimal(const struct compiled_texts *texts)
{
	for (size_t i = 0; i < texts->count; i++) {
		const struct prefix_entry *entry = &texts->entries[i], *nearest = NULL;

		for (size_t j = 0; j < texts->count; j++) {
			const struct prefix_entry *other = &texts->entries[j];

			if (other->length < entry->length &&
			    memcmp(other->text, entry->text, other->length) == 0 &&
			    (!nearest || other->length > nearest->length))
				nearest = other;
		}
		assert_int_not_equal(entry->answer, nearest ? nearest->answer : PREFIX_NO_ANSWER);
	}
}

/* Few letters, so that texts nest and repeat; some of about the greatest length for the kernel. */
static void random_url(uint64_t *seed, char url[300])
{
	bool is_long = random_below(seed, 4) == 0;
	size_t length = is_long ? 253 + random_below(seed, 5) : 1 + random_below(seed, 6);

	memset(url, 'a', length);
	for (int i = 0; i < 4 && !is_long; i++)
		url[random_below(seed, length)] = "ab"[random_below(seed, 2)];
	url[length - 1] = "ab"[random_below(seed, 2)];
	url[length] = '\0';
}

static struct chain *random_chain(uint64_t *seed)
{
	static const char *const verdicts[] = { "hit", "miss", "miss_nofetch", "denied", "err" };
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	char paths[6][LIST_PATH_SIZE];
	uint32_t policies = random_below(seed, 7);
	struct chain *chain;

	for (uint32_t i = 0; i < policies; i++) {
		char list[12 * 320] = "";
		uint32_t kind = random_below(seed, 8);
		char used[12][300];
		size_t urls = random_below(seed, 12);

		fprintf(stream, "policy p%u { kind = %s verdict = %s\n",
			random_below(seed, 1000) * 10 + i,
			kind == 7 ? "regex" : (kind < 5 ? "prefix" : "exact"),
			verdicts[random_below(seed, 5)]);
		if (random_below(seed, 3) == 0)
			fprintf(stream, "cost = %u\n", random_below(seed, 3));
		if (random_below(seed, 4) == 0)
			fprintf(stream, "not = true\n");
		for (size_t j = 0; j < urls; j++) {
			bool twice = false;

			random_url(seed, used[j]);
			for (size_t k = 0; k < j; k++)
				twice = twice || strcmp(used[k], used[j]) == 0;
			if (twice)
				continue;
			if (kind == 7)
				strcat(list, OPAQUE);
			strcat(list, used[j]);
			strcat(list, "\t");
			strcat(list, verdicts[random_below(seed, 5)]);
			strcat(list, "\n");
		}
		if (kind == 0)
			strcat(list, "\tdenied\n"); /* the empty prefix */
		if (kind == 7)
			strcat(list, OPAQUE "c\tdenied\n");
		write_list(paths[i], list, strlen(list));
		fprintf(stream, "file = '%s' }\n", paths[i]);
	}
	fclose(stream);
	chain = make_chain(text);
	free(text);
	for (uint32_t i = 0; i < policies; i++)
		unlink(paths[i]);
	return chain;
}

TEST(random_chains)
{
	uint64_t seed = 31;
	size_t answered = 0, passed = 0;

	for (int round = 0; round < 1500; round++) {
		struct chain *chain = random_chain(&seed);
		struct tree tree;
		struct compiled *compiled;
		struct error error;

		assert_int_equal(chain_compile(chain, &compiled, &error), 0);
		assert_minimal(&compiled->texts[URL_FORWARD]);
		tree_build(&tree, compiled->texts[URL_FORWARD].entries, compiled->count);
		for (int i = 0; i < 60; i++) {
			char url[300];

			random_url(&seed, url);
			assert_same_answer(chain, &tree, compiled, url);
			if (kernel_decides(&tree, compiled, url).counter == ICP_COUNT_ANSWERED)
				answered++;
			else
				passed++;
		}
		tree_free(&tree);
		compiled_free(compiled);
		chain_free(chain);
	}
	/* The test is useless if one of the two hardly happens. */
	assert_true(answered > 10000);
	assert_true(passed > 10000);
}

static struct compiled *compile(struct chain *chain)
{
	struct compiled *compiled;
	struct error error;

	assert_int_equal(chain_compile(chain, &compiled, &error), 0);
	return compiled;
}

static void assert_entry(const struct compiled *compiled, size_t number, const char *text,
			 size_t length, __u32 rank, enum icp_opcode verdict, int cost)
{
	assert_int_equal(compiled->texts[URL_FORWARD].entries[number].length, length);
	assert_memory_equal(compiled->texts[URL_FORWARD].entries[number].text, text, length);
	assert_int_equal(said_by(compiled, &compiled->texts[URL_FORWARD].entries[number])->rank,
			 rank);
	assert_int_equal(said_by(compiled, &compiled->texts[URL_FORWARD].entries[number])->verdict,
			 verdict);
	assert_int_equal(said_by(compiled, &compiled->texts[URL_FORWARD].entries[number])->cost,
			 cost);
}

TEST(nested_prefixes_of_two_policies)
{
	struct chain *chain =
		make_chain("policy 1 { kind = prefix verdict = hit urls = { ab, abcd } cost = 5 }"
			   "policy 2 { kind = prefix verdict = denied urls = { a, abc, x } }"
			   "policy 3 { kind = exact verdict = err urls = { x, a, abc, z } }");
	struct compiled *compiled = compile(chain);

	assert_int_equal(compiled->horizon, RANK_NONE);
	assert_int_equal(compiled->default_rank, 3);
	assert_int_equal(compiled->default_verdict, ICP_OP_MISS);
	assert_int_equal(compiled->count, 4);
	assert_entry(compiled, 0, "a", 1, 1, ICP_OP_DENIED, ICP_NO_COST);
	assert_entry(compiled, 1, "ab", 2, 0, ICP_OP_HIT, 5);
	assert_entry(compiled, 2, "x", 1, 1, ICP_OP_DENIED, ICP_NO_COST);
	assert_entry(compiled, 3, "z\0", 2, 2, ICP_OP_ERR, ICP_NO_COST);
	assert_int_equal(compiled->lines, 4);
	compiled_free(compiled);
	chain_free(chain);
}

TEST(nothing_beyond_the_horizon)
{
	struct chain *chain =
		make_chain("policy 1 { kind = prefix verdict = hit url = ab }"
			   "policy 2 { kind = regex verdict = miss pattern = '" OPAQUE "x' }"
			   "policy 3 { kind = prefix verdict = denied url = a }");
	struct compiled *compiled = compile(chain);

	assert_int_equal(compiled->horizon, 1);
	assert_int_equal(compiled->default_rank, 3);
	assert_int_equal(compiled->count, 1);
	assert_entry(compiled, 0, "ab", 2, 0, ICP_OP_HIT, ICP_NO_COST);
	compiled_free(compiled);
	chain_free(chain);
}

/* A policy with `not` matches where no text is known, and its own texts take its verdict away. */
TEST(texts_of_not)
{
	struct chain *chain =
		make_chain("policy 1 { kind = prefix verdict = hit url = abcd }"
			   "policy 2 { kind = prefix verdict = denied urls = { ab, x } not = true }"
			   "policy 3 { kind = exact verdict = err urls = { ab, y } }"
			   "policy 4 { kind = exact verdict = miss url = x not = true cost = 7 }");
	struct compiled *compiled = compile(chain);

	assert_int_equal(compiled->horizon, RANK_NONE);
	assert_int_equal(compiled->count, 6);
	assert_entry(compiled, 0, "", 0, 1, ICP_OP_DENIED, ICP_NO_COST);
	assert_entry(compiled, 1, "ab", 2, 3, ICP_OP_MISS, 7);
	assert_entry(compiled, 2, "ab\0", 3, 2, ICP_OP_ERR, ICP_NO_COST);
	assert_entry(compiled, 3, "abcd", 4, 0, ICP_OP_HIT, ICP_NO_COST);
	assert_entry(compiled, 4, "x", 1, 3, ICP_OP_MISS, 7);
	assert_int_equal(compiled->texts[URL_FORWARD].entries[5].length, 2);
	assert_int_equal(compiled->texts[URL_FORWARD].entries[5].answer, PREFIX_NO_ANSWER);
	compiled_free(compiled);
	chain_free(chain);
}

/* More answers than there is room for: the daemon evaluates the remaining policies. */
TEST(too_many_answers)
{
	const __u32 policies = ANSWERS_MAX + 10;
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	struct compiled *compiled;
	struct chain *chain;

	for (__u32 i = 0; i < policies; i++)
		fprintf(stream, "policy %05u { kind = prefix verdict = hit url = 'u%05u' }\n", i,
			policies - i);
	fclose(stream);
	chain = make_chain(text);
	free(text);
	compiled = compile(chain);
	assert_int_equal(compiled->horizon, ANSWERS_MAX - 1);
	assert_int_equal(compiled->answer_count, ANSWERS_MAX - 1);
	assert_int_equal(compiled->count, ANSWERS_MAX - 1);
	assert_int_equal(compiled->default_rank, policies);
	for (size_t i = 0; i < compiled->count; i++)
		assert_true(said_by(compiled, &compiled->texts[URL_FORWARD].entries[i])->rank <
			    compiled->horizon);
	compiled_free(compiled);
	chain_free(chain);
}

TEST(an_empty_chain)
{
	struct chain *chain = make_chain("default = miss_nofetch");
	struct compiled *compiled = compile(chain);

	assert_int_equal(compiled->horizon, RANK_NONE);
	assert_int_equal(compiled->default_rank, 0);
	assert_int_equal(compiled->default_verdict, ICP_OP_MISS_NOFETCH);
	assert_int_equal(compiled->count, 0);
	assert_int_equal(compiled->lines, 0);
	compiled_free(compiled);
	chain_free(chain);
}

/* A result is remembered for the parts of the query that the policy depends on. */
TEST(what_is_remembered)
{
	static const struct {
		const char *config;
		enum chain_memory memory;
	} chains[] = {
		{ "policy 1 { kind = prefix verdict = hit url = a }", MEMORY_NONE },
		{ "policy 1 { kind = regex verdict = hit pattern = '" OPAQUE "a' }", MEMORY_URL },
		{ "policy 1 { kind = helper program = '/bin/true' ttl = 60s }", MEMORY_URL_SOURCE },
		{ "policy 1 { kind = helper program = '/bin/true' }", MEMORY_URL },
		{ "policy 1 { kind = regex verdict = hit pattern = '" OPAQUE "a' }\n"
		  "policy 2 { kind = helper program = '/bin/true' ttl = 60s }",
		  MEMORY_URL_SOURCE },
	};

	for (size_t i = 0; i < sizeof(chains) / sizeof(*chains); i++) {
		struct chain *chain = make_chain(chains[i].config);
		struct compiled *compiled = compile(chain);

		if (compiled->memory != chains[i].memory)
			fail_msg("%s: %d, not %d", chains[i].config, compiled->memory,
				 chains[i].memory);
		compiled_free(compiled);
		chain_free(chain);
	}
}
