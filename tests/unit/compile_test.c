// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel decides by a compiled chain as the chain itself does. */
#include "support/chains.h"
#include "lib/byteset.h"
#include "match.h"
#include "support/images.h"

#define OPAQUE "(?=)" /* begins a pattern that has no automaton */

/*
 * Does a policy before the horizon decide, or is there no horizon? Then the kernel must, too; unless
 * the whole URL is a host that is too long for it.
 */
static bool must_answer(const struct chain *chain, const struct chain_decision *decision,
			const char *url)
{
	bool is_long_host = strlen(url) == PREFIX_URL_MAX && !strchr(url, '/');

	for (size_t rank = 0; rank < chain_count(chain); rank++) {
		const struct policy *policy = chain_policy(chain, rank);

		if (!policy_texts(policy) || (policy->kind->reading == URL_HOST && is_long_host))
			return false;
		if (policy == decision->policy)
			return true;
	}
	return true;
}

static void assert_same_answer(const struct chain *chain, struct image *image, const char *url,
			       const struct decision *decision)
{
	struct chain_decision expected = decide_url(chain, url);

	if (strlen(url) > PREFIX_URL_MAX) {
		assert_int_equal(decision->counter, ICP_COUNT_PASSED_LONG);
		return;
	}
	if (decision->counter != ICP_COUNT_ANSWERED) {
		assert_int_equal(decision->counter, ICP_COUNT_PASSED_HORIZON);
		assert_false(must_answer(chain, &expected, url));
		return;
	}
	assert_true(expected.rank < image->compiled->horizon);
	assert_int_equal(decision->rank, expected.rank);
	assert_int_equal(decision->verdict.opcode, expected.verdict.opcode);
	assert_int_equal(decision->verdict.cost, expected.verdict.cost);
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
static void random_text(uint64_t *seed, char text[300])
{
	bool is_long = random_below(seed, 4) == 0;
	size_t length = is_long ? 250 + random_below(seed, 8) : 1 + random_below(seed, 6);

	memset(text, 'a', length);
	for (int i = 0; i < 4; i++)
		text[random_below(seed, is_long ? 6 : length)] = "ab.b"[random_below(seed, 4)];
	if (is_long && random_below(seed, 2))
		text[random_below(seed, length)] = 'b';
	text[0] = "ab"[random_below(seed, 2)];
	text[length - 1] = "ab"[random_below(seed, 2)];
	text[length] = '\0';
}

/* A text, or a text as the host of a URL. */
static void random_url(uint64_t *seed, char url[320])
{
	static const char *const begins[] = { "", "", "http://", "HTTPS://u:p@", "b://" };
	static const char *const ends[] = { "", "", "/", ".", ":80/b", "?@b" };
	uint32_t begin = random_below(seed, 5);
	char text[300];

	random_text(seed, text);
	if (begin > 1 && random_below(seed, 4) == 0)
		text[random_below(seed, strlen(text))] ^= 0x20; /* an upper letter, or a control */
	sprintf(url, "%s%s%s", begins[begin], text, begin > 1 ? ends[random_below(seed, 6)] : "");
}

static const char *const verdicts[] = { "hit", "miss", "miss_nofetch", "denied", "err" };

static struct chain *random_chain(uint64_t *seed)
{
	static const char *const kinds[] = { "prefix", "exact", "suffix", "host", "prefix",
					     "suffix", "host",	"suffix", "regex" };
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	char paths[6][LIST_PATH_SIZE];
	uint32_t policies = random_below(seed, 7);
	struct chain *chain;

	for (uint32_t i = 0; i < policies; i++) {
		char list[12 * 320] = "";
		uint32_t kind = random_below(seed, 9);
		char used[12][320];
		size_t texts = random_below(seed, 12);

		fprintf(stream, "policy p%u { kind = %s verdict = %s\n",
			random_below(seed, 1000) * 10 + i, kinds[kind],
			verdicts[random_below(seed, 5)]);
		if (random_below(seed, 3) == 0)
			fprintf(stream, "cost = %u\n", random_below(seed, 3));
		if (random_below(seed, 4) == 0)
			fprintf(stream, "not = true\n");
		for (size_t j = 0; j < texts; j++) {
			bool is_host = strcmp(kinds[kind], "host") == 0, twice = false;

			used[j][0] = '.';
			random_text(seed, used[j] + (is_host && random_below(seed, 2)));
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
		if (kind == 0 || kind == 2)
			strcat(list, "\tdenied\n"); /* the empty text */
		if (kind == 8)
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
	size_t answered = 0, passed = 0, by_turned = 0;

	for (int round = 0; round < 1500; round++) {
		struct chain *chain = random_chain(&seed);
		struct image image;

		image_build(&image, chain);
		for (int reading = 0; reading < URL_READINGS; reading++)
			assert_minimal(&image.compiled->texts[reading]);
		for (int i = 0; i < 60; i++) {
			struct decision decision;
			char url[320];

			random_url(&seed, url);
			image.turned = 0;
			decision = image_decide(&image, url, strlen(url));
			assert_same_answer(chain, &image, url, &decision);
			answered += decision.counter == ICP_COUNT_ANSWERED;
			passed += decision.counter == ICP_COUNT_PASSED_HORIZON;
			by_turned += decision.counter == ICP_COUNT_ANSWERED && image.turned;
		}
		image_free(&image);
		chain_free(chain);
	}
	/* The test is useless if one of these hardly happens. */
	assert_true(answered > 10000);
	assert_true(passed > 10000);
	assert_true(by_turned > 10000);
}

static void random_letters(uint64_t *seed, char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		text[i] = "ab"[random_below(seed, 2)];
	text[length] = '\0';
}

#define INSIDE_POLICIES 4

/*
 * Policies with so many texts inside the URL, of any verdicts or with `not`, that they have no
 * automaton.
 */
static struct chain *random_chain_inside(uint64_t *seed,
					 char paths[INSIDE_POLICIES][LIST_PATH_SIZE])
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	struct chain *chain;

	fprintf(stream, "policy 2 { kind = prefix verdict = denied url = 'aba' }\n");
	for (uint32_t i = 0; i < INSIDE_POLICIES; i++) {
		bool negate = random_below(seed, 2);
		char list[40 * 32] = "", one[20];
		size_t texts = 9 + random_below(seed, 25), least = 4 + random_below(seed, 7);

		for (size_t k = 0; k < texts; k++) {
			random_letters(seed, one, least + random_below(seed, 6));
			strcat(list, one);
			strcat(list, "\t");
			strcat(list, verdicts[random_below(seed, negate ? 1 : 5)]);
			strcat(list, "\n");
		}
		write_list(paths[i], list, strlen(list));
		fprintf(stream, "policy %u { kind = substring file = '%s' %s }\n", 1 + 2 * i,
			paths[i], negate ? "not = true verdict = err" : "");
	}
	fclose(stream);
	chain = make_chain(text);
	free(text);
	return chain;
}

TEST(random_texts_inside)
{
	uint64_t seed = 32;
	size_t passed = 0, found = 0, absent = 0;

	for (int round = 0; round < 500; round++) {
		char paths[INSIDE_POLICIES][LIST_PATH_SIZE];
		struct chain *chain = random_chain_inside(&seed, paths);
		struct image image;

		image_build(&image, chain);
		assert_int_equal(image.compiled->horizon, RANK_NONE);
		assert_int_equal(image.compiled->group_count, 0);
		assert_minimal(&image.compiled->texts[URL_INSIDE]);
		for (int i = 0; i < 100; i++) {
			struct decision decision;
			char url[80];

			random_letters(&seed, url, 1 + random_below(&seed, sizeof(url) - 1));
			decision = image_decide(&image, url, strlen(url));
			if (decision.counter == ICP_COUNT_PASSED_HORIZON) {
				assert_true(strlen(url) > MATCH_PLACES_MAX);
				passed++;
				continue;
			}
			assert_same_answer(chain, &image, url, &decision);
			found += decision.rank != image.compiled->default_rank;
			absent += decision.rank < chain_count(chain) &&
				  chain_policy(chain, decision.rank)->negate;
		}
		image_free(&image);
		chain_free(chain);
		for (size_t i = 0; i < INSIDE_POLICIES; i++)
			unlink(paths[i]);
	}
	assert_true(found > 10000);
	assert_true(absent > 10000);
	assert_true(passed > 100);
}

/* A list of texts inside the URL, too long for an automaton, that begins with these lines. */
static void write_long_list(char path[LIST_PATH_SIZE], const char *first)
{
	char *list = NULL;
	size_t size;
	FILE *stream = open_memstream(&list, &size);

	fputs(first, stream);
	for (unsigned int i = 0; i < 9000; i++)
		fprintf(stream, "/%04x.%04x/\n", i, i * 40503 % 65536);
	fclose(stream);
	write_list(path, list, strlen(list));
	free(list);
}

/* Texts of fewer bytes than a gram are an automaton beside the others. */
TEST(short_texts_of_a_long_list)
{
	static const char *const urls[] = { "http://e.org/?x", "http://e.org/0001.9e37/", "~a/x",
					    "/0002.3c6e/?x",   "http://e.org/x",	  "~",
					    "/0001.9e37?" };
	char path[LIST_PATH_SIZE];
	struct chain *chain;
	struct image image;

	write_long_list(path, "~a/\n?\n");
	chain = make_chain(formatted("policy 1 { kind = substring verdict = hit file = '%s' }"
				     "policy 2 { kind = prefix verdict = denied url = 'http:' }",
				     path));
	image_build(&image, chain);
	assert_int_equal(image.compiled->horizon, RANK_NONE);
	assert_int_equal(image.compiled->group_count, 1);
	assert_int_equal(image.compiled->texts[URL_INSIDE].count, 9000);
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct decision decision = image_decide(&image, urls[i], strlen(urls[i]));

		assert_int_equal(decision.counter, ICP_COUNT_ANSWERED);
		assert_same_answer(chain, &image, urls[i], &decision);
	}
	image_free(&image);
	chain_free(chain);
	unlink(path);
}

/* If all texts together give the verdict, they cannot be parted. */
TEST(short_texts_that_need_the_others)
{
	static const struct {
		const char *first, *settings;
	} lists[] = { { "?\tdenied\n", "" }, { "?\n", "not = true" } };
	char path[LIST_PATH_SIZE];

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct compiled *compiled;
		struct chain *chain;

		write_long_list(path, lists[i].first);
		chain = make_chain(
			formatted("policy 1 { kind = substring verdict = hit file = '%s' %s }",
				  path, lists[i].settings));
		compiled = compile(chain);
		assert_int_equal(compiled->horizon, 0);
		assert_non_null(
			strstr(compiled->horizon_reason.text,
			       "as it has texts of fewer than 4 bytes, and `not` or several "
			       "verdicts, it needs an automaton of all, which needs "));
		compiled_free(compiled);
		chain_free(chain);
		unlink(path);
	}
}

/* Nothing is in the URL: the policy matches all, wherever it stands. */
TEST(absent_texts_of_an_empty_list)
{
	char path[LIST_PATH_SIZE];
	struct decision decision;
	struct chain *chain;
	struct image image;

	write_list(path, "# none\n", 7);
	chain = make_chain(
		formatted("policy 1 { kind = substring verdict = denied file = '%s' }"
			  "policy 2 { kind = substring not = true verdict = hit file = '%s' }"
			  "policy 3 { kind = prefix verdict = err url = 'http://' }",
			  path, path));
	image_build(&image, chain);
	decision = image_decide(&image, "http://e.org/", 13);
	assert_same_answer(chain, &image, "http://e.org/", &decision);
	assert_int_equal(decision.verdict.opcode, ICP_OP_HIT);
	image_free(&image);
	chain_free(chain);
	unlink(path);
}

/* Texts that no URL in the kernel contains are not in its maps, and are absent nevertheless. */
TEST(absent_texts_that_are_too_long)
{
	char path[LIST_PATH_SIZE], list[9 * (PREFIX_MAX + 2) + 1];
	struct decision decision;
	struct chain *chain;
	struct image image;

	for (size_t i = 0; i < 9; i++)
		sprintf(list + i * (PREFIX_MAX + 2), "%0*zu\n", (int)PREFIX_MAX + 1, i);
	write_list(path, list, strlen(list));
	chain = make_chain(formatted(
		"policy 1 { kind = substring not = true verdict = hit file = '%s' }", path));
	image_build(&image, chain);
	assert_int_equal(image.compiled->count, 0);
	memset(list, 'x', PREFIX_URL_MAX);
	for (size_t length = 1; length <= PREFIX_URL_MAX; length++) {
		decision = image_decide(&image, list, length);
		assert_int_equal(decision.verdict.opcode, ICP_OP_HIT);
	}
	image_free(&image);
	chain_free(chain);
	unlink(path);
}

/* There is a bit for each of so many policies. */
TEST(policies_with_not_on_many_texts)
{
	char config[4096] = "";
	struct compiled *compiled;
	struct chain *chain;

	for (unsigned int i = 0; i <= ABSENT_MAX; i++)
		sprintf(config + strlen(config),
			"policy %u { kind = substring not = true verdict = hit texts = { a%u00, "
			"a%u01, a%u02, a%u03, a%u04, a%u05, a%u06, a%u07, a%u08 } }\n",
			i, i, i, i, i, i, i, i, i, i);
	chain = make_chain(config);
	compiled = compile(chain);
	assert_int_equal(compiled->absent_count, ABSENT_MAX);
	assert_int_equal(compiled->horizon, ABSENT_MAX);
	assert_string_equal(compiled->horizon_reason.text,
			    "it is one of more than 8 policies with `not` on many substrings");
	compiled_free(compiled);
	chain_free(chain);
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

/* A policy whose texts have no room goes to the daemon, with all behind it. */
TEST(too_many_lines)
{
	struct chain *chain = make_chain("policy 1 { kind = prefix verdict = hit urls = { a, b } }"
					 "policy 2 { kind = exact verdict = miss urls = { c, d } }"
					 "policy 3 { kind = prefix verdict = denied url = e }");
	struct compiled *compiled;
	struct error error;

	assert_int_equal(chain_compile_within(chain, 5, &compiled, &error), 0);
	assert_int_equal(compiled->horizon, RANK_NONE);
	compiled_free(compiled);
	assert_int_equal(chain_compile_within(chain, 3, &compiled, &error), 0);
	assert_int_equal(compiled->horizon, 1);
	assert_int_equal(compiled->lines, 2);
	assert_string_equal(compiled->horizon_reason.text,
			    "its 2 texts have no room in the kernel's maps, which have 3 lines of "
			    "64 bytes; " ADVICE_FOR_ROOM
			    ", with a larger prefixes_max if that is set");
	assert_true(compiled->lacks_room);
	compiled_free(compiled);
	chain_free(chain);
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

/* A reading is looked up only if it can have an answer of a smaller rank than is known. */
TEST(only_what_can_win)
{
	static const struct {
		const char *url;
		unsigned int turned;
		enum icp_opcode verdict;
	} cases[] = {
		{ "http://first.org/a.png", 0, ICP_OP_HIT }, /* rank 0 */
		{ "http://e.org/a.png", 1, ICP_OP_MISS },    /* 1; the host's least is 3 */
		{ "http://e.org/a.gif", 2, ICP_OP_DENIED },  /* 3 */
		{ "http://third.org/a.png", 1, ICP_OP_MISS },
		{ "http://third.org/a.gif", 1, ICP_OP_ERR }, /* 2 */
		{ "http://f.org/a.gif", 2, ICP_OP_MISS_NOFETCH },
	};
	struct chain *chain =
		make_chain("default = miss_nofetch\n"
			   "policy 1 { kind = prefix verdict = hit url = 'http://first.org/' }"
			   "policy 2 { kind = suffix verdict = miss text = '.png' }"
			   "policy 3 { kind = prefix verdict = err url = 'http://third.org/' }"
			   "policy 4 { kind = host verdict = denied host = e.org }");
	struct image image;

	image_build(&image, chain);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct decision decision;

		image.turned = 0;
		decision = image_decide(&image, cases[i].url, strlen(cases[i].url));
		if (image.turned != cases[i].turned || decision.verdict.opcode != cases[i].verdict)
			fail_msg("%s: %u readings, verdict %d", cases[i].url, image.turned,
				 decision.verdict.opcode);
	}
	image_free(&image);
	chain_free(chain);
	chain = make_chain("policy 1 { kind = prefix verdict = hit url = a }");
	image_build(&image, chain);
	assert_int_equal(image.chain.others, 0);
	image_free(&image);
	chain_free(chain);
}
