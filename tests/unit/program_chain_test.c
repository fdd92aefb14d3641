// SPDX-License-Identifier: GPL-2.0-or-later
/* The chain and its horizon, as the XDP program decides by them. */
#include "support/program_check.h"

TEST_ALL(open_program, close_program)

TEST(the_default)
{
	prepare("default = denied", false);
	check_url("http://e.org/", 22);
	prepare("default = hit policy 1 { kind = prefix verdict = miss url = 'http://e.org/' }",
		false);
	check_url("http://e.org/", 3);
	check_url("http://e.net/", 2);
	check_url("x", 2);
	prepare("default = hit policy 1 { kind = prefix verdict = miss url = 'http://e.org/' }"
		"policy 2 { kind = regex verdict = miss pattern = '(?=)z' }",
		false);
	check_url("http://e.org/", 3);
	check_url_passes("http://e.net/", ICP_COUNT_PASSED_HORIZON);
	prepare("default = hit policy 1 { kind = regex verdict = miss pattern = '(?=)z' }"
		"policy 2 { kind = prefix verdict = miss url = 'http://e.org/' }",
		false);
	check_url_passes("http://e.org/", ICP_COUNT_PASSED_HORIZON);
	check_url_passes("http://e.net/", ICP_COUNT_PASSED_HORIZON);
}

TEST(a_chain_that_nobody_filled)
{
	prepare("default = hit", false);
	program_clear(&program);
	check_url_passes("http://e.org/", ICP_COUNT_PASSED_FOREIGN);
	put_v4(our_v4, 3130, our_mac);
	program_put_destination(&program, our_v6, 3130, our_mac);
	check_url_passes("http://e.org/", ICP_COUNT_PASSED_HORIZON);
	program_put_rule(&program, "http://e.org/", ICP_OP_HIT);
	check_url("http://e.org/a", 2);
	check_url_passes("http://e.net/", ICP_COUNT_PASSED_HORIZON);
	check_url_passes("x", ICP_COUNT_PASSED_HORIZON);
}

TEST(a_closed_chain)
{
	struct map_chain closed = { .generation = PROGRAM_GENERATION + 1, .first_gate = RANK_NONE };

	prepare(TABLE_CHAIN, false);
	check_url("http://hit.example/x", 2);
	program_put_chain(&program, &closed);
	check_url_passes("http://hit.example/x", ICP_COUNT_PASSED_HORIZON);
	check_url("http://rule.example/x", 22);
	check_url("http://hit.example/ ", 4);
}

TEST(no_such_chain)
{
	prepare(TABLE_CHAIN, false);
	program_control(&program, 2);
	check_url_passes("http://hit.example/x", ICP_COUNT_PASSED_FAILED);
	check_url_passes("http://rule.example/x", ICP_COUNT_PASSED_FAILED);
}

TEST(the_longest_of_nested_prefixes)
{
	prepare("default = miss\n"
		"policy 1 { kind = prefix verdict = hit urls = { a, abcdefgh, abcdefghi } }\n"
		"policy 2 { kind = exact verdict = denied urls = { a, b, abcdefghij } }\n"
		"policy 3 { kind = prefix verdict = err urls = { abc, b } }\n"
		"policy 4 { kind = prefix verdict = miss_nofetch urls = { '', abcd, ba } }\n",
		false);
	check_url("a", 2);
	check_url("abc", 2);
	check_url("abcdefghij", 2);
	check_url("b", 22);
	check_url("ba", 4);
	check_url("c", 21);
	check_url("zzzzzzzzzzzzzzzzzzzzzzzz", 21);
}

TEST(verdicts_of_nested_prefixes)
{
	char path[LIST_PATH_SIZE], config[256];
	const char list[] = "\tdenied\nabcdefgh\thit\nabcdefg\tmiss\nabcdefghi\terr\n"
			    "abcdefghabcdefgh\tmiss_nofetch\n";

	program_needed(&program);
	write_list(path, list, strlen(list));
	snprintf(config, sizeof(config), "policy 1 { kind = prefix file = '%s' }", path);
	prepare(config, false);
	unlink(path);
	check_url("abcdef", 22);
	check_url("abcdefg", 3);
	check_url("abcdefgz", 3);
	check_url("abcdefgh", 2);
	check_url("abcdefghz", 2);
	check_url("abcdefghi", 4);
	check_url("abcdefghabcdefg", 2);
	check_url("abcdefghabcdefgh", 21);
	check_url("abcdefghabcdefghabcdefgh", 21);
	check_url("a", 22);
}

/* The longest texts: 255 bytes, and 255 bytes with their NUL. */
TEST(the_longest_prefixes)
{
	char url[257], config[1024];

	memset(url, 'u', 256);
	url[255] = '\0';
	snprintf(config, sizeof(config),
		 "default = err\n"
		 "policy 1 { kind = exact verdict = hit url = '%s' }\n"
		 "policy 2 { kind = prefix verdict = denied url = '%.*s' }\n",
		 url, 254, url);
	prepare(config, false);
	check_url(url, 2);
	url[254] = 'v';
	check_url(url, 22);
	url[254] = '\0';
	check_url(url, 22);
	url[253] = '\0';
	check_url(url, 4);
}

/* Other bytes under the hash of "http://e.org/abcd"; a shorter prefix and a longer are there, too. */
TEST(collisions)
{
	const char url[] = "http://e.org/abcdef";
	const struct prefix_entry entries[] = { { url, 13, 1 }, { url, 17, 2 }, { url, 19, 3 } };
	const struct prefix_answer answers[] = { { 0, ICP_OP_HIT, ICP_NO_COST },
						 { 0, ICP_OP_DENIED, ICP_NO_COST },
						 { 0, ICP_OP_MISS_NOFETCH, ICP_NO_COST } };
	struct map_chain chain = { .first_gate = RANK_NONE,
				   .generation = PROGRAM_GENERATION,
				   .horizon = RANK_NONE,
				   .default_rank = 1,
				   .default_verdict = ICP_OP_MISS };
	struct prefix_line *line;

	prepare("default = err", false);
	program_put_prefixes(&program, &chain, entries, 3, answers, 3);
	program_put_chain(&program, &chain);
	check_url("http://e.org/ab", 2);
	check_url("http://e.org/abcd", 22);
	check_url(url, 21);
	line = program_lines(&program) + 1;
	assert_memory_equal(line->text, url, 19);
	for (size_t place = 0; place < 64; place++) {
		line->text[place] ^= 0x20;
		check_url("http://e.org/ab", 2);
		if (place < 17)
			check_url_passes(url, ICP_COUNT_PASSED_COLLISION);
		else
			check_url(url, place < 19 ? 22 : 21);
		line->text[place] ^= 0x20;
	}
	check_url(url, 21);
}

/* What the map of chains says lies beyond the arrays. */
TEST(arrays_too_short)
{
	const struct prefix_entry entries[] = { { "a", 1, 1 }, { "bc", 2, 1 } };
	const struct prefix_answer answers[] = { { 0, ICP_OP_HIT, ICP_NO_COST } };
	struct map_chain chain = { .first_gate = RANK_NONE,
				   .generation = PROGRAM_GENERATION,
				   .horizon = RANK_NONE,
				   .default_rank = 1,
				   .default_verdict = ICP_OP_MISS };
	struct map_chain broken;

	prepare("default = err", false);
	program_put_prefixes(&program, &chain, entries, 2, answers, 1);
	program_put_chain(&program, &chain);
	check_url("bcd", 2);
	broken = chain;
	broken.prefixes.first_bucket = 0x7fffffff;
	program_put_chain(&program, &broken);
	check_url_passes("bcd", ICP_COUNT_PASSED_COLLISION);
	broken = chain;
	broken.prefixes.first_line = 0xffffffff;
	program_put_chain(&program, &broken);
	check_url_passes("ab", ICP_COUNT_PASSED_COLLISION);
	broken = chain;
	broken.first_answer = 2 * ANSWERS_MAX;
	program_put_chain(&program, &broken);
	check_url_passes("bcd", ICP_COUNT_PASSED_FAILED);
	check_url("x", 3);
}

TEST(entries_before_and_behind_the_horizon)
{
	const struct prefix_entry entry = { "a", 1, 1 };
	struct prefix_answer answer = { 4, ICP_OP_HIT, ICP_NO_COST };
	struct map_chain chain = { .first_gate = RANK_NONE,
				   .generation = PROGRAM_GENERATION,
				   .horizon = 5,
				   .default_rank = 9,
				   .default_verdict = ICP_OP_MISS };

	prepare("default = err", false);
	program_put_prefixes(&program, &chain, &entry, 1, &answer, 1);
	program_put_chain(&program, &chain);
	check_url("ax", 2);
	answer.rank = 5;
	program_put_prefixes(&program, &chain, &entry, 1, &answer, 1);
	program_put_chain(&program, &chain);
	check_url_passes("ax", ICP_COUNT_PASSED_HORIZON);
	answer.rank = 6;
	program_put_prefixes(&program, &chain, &entry, 1, &answer, 1);
	program_put_chain(&program, &chain);
	check_url_passes("ax", ICP_COUNT_PASSED_HORIZON);
	check_url_passes("b", ICP_COUNT_PASSED_HORIZON);
	chain.default_rank = 4;
	program_put_chain(&program, &chain);
	check_url("b", 3);
}
