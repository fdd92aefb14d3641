// SPDX-License-Identifier: GPL-2.0-or-later
/* The chain and its horizon, as the XDP program decides by them. */
#include "match.h"
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
	char path[LIST_PATH_SIZE];
	const char list[] = "\tdenied\nabcdefgh\thit\nabcdefg\tmiss\nabcdefghi\terr\n"
			    "abcdefghabcdefgh\tmiss_nofetch\n";

	program_needed(&program);
	write_list(path, list, strlen(list));
	prepare(formatted("policy 1 { kind = prefix file = '%s' }", path), false);
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

/* The longest suffix of all policies' that the URL ends in, and `not`. */
TEST(suffixes)
{
	prepare("default = err\n"
		"policy 1 { kind = suffix verdict = hit texts = { .png, /abcdefg, /abcdefgh } }\n"
		"policy 2 { kind = suffix verdict = denied texts = { g, '/a.png' } }\n"
		"policy 3 { kind = prefix verdict = miss_nofetch url = 'http://e.org/' }\n"
		"policy 4 { kind = suffix not = true verdict = miss text = /x }\n",
		false);
	check_url("http://e.org/a.png", 2);
	check_url("a.png", 2);
	check_url(".png", 2);
	check_url("png", 22);
	check_url("http://e.org/abcdefg", 2);
	check_url("http://e.org/abcdefgh", 2);
	check_url("http://e.org/abcdefghi", 21);
	check_url("http://e.org/abcdefhi", 21);
	check_url("http://e.org/x", 21);
	check_url("http://f.org/x", 4);
	check_url("http://f.org/xy", 3);
	check_url("x", 3);
}

/* The longest URL, and suffixes as long as it, and as two words of it. */
TEST(the_longest_suffixes)
{
	char url[257];

	memset(url, 'u', 256);
	url[255] = '\0';
	prepare(formatted("default = err\n"
			  "policy 1 { kind = suffix verdict = hit text = '%s' }\n"
			  "policy 2 { kind = suffix verdict = denied text = '%.*s' }\n"
			  "policy 3 { kind = suffix verdict = miss text = '%.*s' }\n",
			  url, 254, url, 16, url),
		false);
	check_url(url, 2);
	check_url(url + 1, 22);
	check_url(url + 2, 3);
	check_url(url + 255 - 16, 3);
	check_url(url + 255 - 15, 4);
	url[0] = 'v';
	check_url(url, 22);
	url[1] = 'v';
	check_url(url, 3);
	url[254] = 'v';
	check_url(url, 4);
}

TEST(hosts)
{
	prepare("default = err\n"
		"policy 1 { kind = host verdict = hit hosts = { www.e.org, .a.e.org, 192.0.2.1 } "
		"}\n"
		"policy 2 { kind = host verdict = denied hosts = { .e.org, abcdef.org } }\n"
		"policy 3 { kind = host not = true verdict = miss hosts = { .org, '[2001:db8::1]' "
		"} }\n",
		false);
	check_url("http://www.e.org/", 2);
	check_url("HTTP://WWW.E.ORG", 2);
	check_url("http://www.e.org:8080/", 2);
	check_url("http://www.e.org.:80?x", 2);
	check_url("http://u:p@www.e.org#x", 2);
	check_url("ftp+x-1.y://f.org@www.e.org/@f.org", 2);
	check_url("www.e.org/a", 2);
	check_url("http://a.e.org/", 2);
	check_url("http://b.a.e.org/", 2);
	check_url("http://192.0.2.1/", 2);
	check_url("http://e.org/", 22);
	check_url("http://e.org../", 3);
	check_url("http://wwww.e.org/", 22);
	check_url("http://abcdef.org/", 22);
	check_url("http://abcdef.orG./", 22);
	check_url("http://abcdefg.org/", 4);
	check_url("http://f.org/", 4);
	check_url("http://org/", 4);
	check_url("http://forg/", 3);
	check_url("http://192.0.2.11/", 3);
	/* No host at all. */
	check_url("/www.e.org/", 3);
	check_url("http://", 3);
	check_url("http://u@:80/", 3);
	check_url("http:///", 3);
	/* What only the daemon reads. */
	check_url_passes("http://[2001:db8::1]/", ICP_COUNT_PASSED_HORIZON);
	check_url_passes("http://u@[www.e.org]/", ICP_COUNT_PASSED_HORIZON);
	check_url_passes("www.e.org:443", ICP_COUNT_PASSED_HORIZON);
	check_url_passes("urn:www.e.org", ICP_COUNT_PASSED_HORIZON);
}

/* Texts each of which ends with the next one's, in so many policies that a lookup takes as many steps. */
TEST(many_nested_suffixes_and_hosts)
{
	static const struct {
		const char *setting, *before, *behind;
	} readings[] = {
		{ "kind = suffix text = ", "http://e.net/", "" },
		{ "kind = host host = .", "http://x.", "/" },
	};
	const char longest[] = "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p";
	const int count = sizeof(longest) / 2;
	char config[2048];

	for (int reading = 0; reading < 2; reading++) {
		int size = snprintf(config, sizeof(config), "default = err\n");

		for (int i = 0; i < count; i++)
			size += snprintf(config + size, sizeof(config) - size,
					 "policy %02d { verdict = %s %s%s }\n", i,
					 i % 2 ? "denied" : "hit", readings[reading].setting,
					 longest + 2 * i);
		prepare(config, false);
		for (int i = 0; i <= count; i++)
			check_url(formatted("%s%s%s", readings[reading].before,
					    i < count ? longest + 2 * i : "q",
					    readings[reading].behind),
				  i == count ? 4
				  : i % 2    ? 22
					     : 2);
	}
}

/* A URL of which the host cannot be read is passed up only if that matters. */
TEST(hosts_that_do_not_matter)
{
	char url[256];

	prepare("default = err\n"
		"policy 1 { kind = prefix verdict = hit url = 'http://[2001:db8::1]/a' }\n"
		"policy 2 { kind = suffix verdict = denied text = .png }\n"
		"policy 3 { kind = host verdict = miss host = e.org }\n"
		"policy 4 { kind = suffix verdict = miss_nofetch text = .gif }\n",
		false);
	check_url("http://[2001:db8::1]/a", 2);
	check_url("http://[2001:db8::1]/b.png", 22);
	check_url_passes("http://[2001:db8::1]/b.gif", ICP_COUNT_PASSED_HORIZON);
	check_url_passes("http://[2001:db8::1]/b", ICP_COUNT_PASSED_HORIZON);
	check_url("http://e.org/b.gif", 3);
	check_url("http://f.org/b.gif", 21);
	/* The longest host has 254 bytes. */
	memset(url, 'h', sizeof(url));
	url[255] = '\0';
	check_url_passes(url, ICP_COUNT_PASSED_HORIZON);
	check_url(url + 1, 4);
}

/* The smallest rank wins, whichever reading it is of; beyond the horizon none does. */
TEST(ranks_of_readings)
{
	prepare("default = err\n"
		"policy 1 { kind = suffix verdict = hit text = 1 }\n"
		"policy 2 { kind = host verdict = miss host = e.org }\n"
		"policy 3 { kind = prefix verdict = denied url = 'http://e.org/' }\n"
		"policy 4 { kind = suffix verdict = miss_nofetch text = 4 cost = 7 }\n"
		"policy 5 { kind = regex verdict = hit pattern = '(?=)zz' }\n"
		"policy 6 { kind = host verdict = hit host = f.org }\n",
		false);
	check_url("http://e.org/1", 2);
	check_url("http://e.org/4", 3);
	check_url("http://e.org.:80/", 3);
	check_url("http://e.org@f.org/4", 21);
	check_url_passes("http://f.org/", ICP_COUNT_PASSED_HORIZON);
}

/* The longest texts: 255 bytes, and 255 bytes with their NUL. */
TEST(the_longest_prefixes)
{
	char url[257];

	memset(url, 'u', 256);
	url[255] = '\0';
	prepare(formatted("default = err\n"
			  "policy 1 { kind = exact verdict = hit url = '%s' }\n"
			  "policy 2 { kind = prefix verdict = denied url = '%.*s' }\n",
			  url, 254, url),
		false);
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
	broken.trees[URL_FORWARD].first_bucket = 0x7fffffff;
	program_put_chain(&program, &broken);
	check_url_passes("bcd", ICP_COUNT_PASSED_COLLISION);
	broken = chain;
	broken.trees[URL_FORWARD].first_line = 0xffffffff;
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

/* Texts at all distances to the words, of all lengths; the first in the list decides. */
TEST(texts_inside_the_url)
{
	char url[256];

	prepare("default = err\n"
		"policy 1 { kind = substring verdict = hit texts = { /first/, abcd, wxyz, "
		"/images/x, 0123456789-0123456789-0123, g.org, q.rs, t.uv, 'w,x.' } }\n"
		"policy 2 { kind = prefix verdict = miss url = 'http://' }\n",
		false);
	check_url("http://e.org/", 3);
	check_url("http://g.org/", 2);
	check_url("http://e.org/images/y", 3);
	check_url("http://e.org/images/x", 2);
	check_url("x/first", ICP_OP_ERR);
	check_url("/first/", 2);
	check_url("abc", ICP_OP_ERR);
	check_url("abcd", 2);
	check_url("http://e.org/0123456789-0123456789-012", 3);
	check_url("http://e.org/0123456789-0123456789-0123", 2);
	for (size_t before = 0; before + 4 < sizeof(url); before++)
		for (size_t after = 0; after < 20 && before + 4 + after < sizeof(url); after++) {
			memset(url, 'x', before);
			memcpy(url + before, "wxyz", 4);
			memset(url + before + 4, 'x', after);
			url[before + 4 + after] = '\0';
			check_url(url, 2);
			url[before + 3] = 'y';
			check_url(url, ICP_OP_ERR);
		}
}

/* The first policy with `not` none of whose texts is there decides, if none before it matches. */
TEST(texts_absent_from_the_url)
{
	prepare("default = err\n"
		"policy 1 { kind = substring not = true verdict = hit texts = { one1, c002, c003, "
		"c004, c005, c006, c007, c008, c009 } }\n"
		"policy 2 { kind = substring verdict = denied texts = { two2, d002, d003, d004, "
		"d005, d006, d007, d008, d009 } }\n"
		"policy 3 { kind = substring not = true verdict = miss texts = { one1/3, three, "
		"e003, "
		"e004, e005, e006, e007, e008, e009 } }\n"
		"policy 4 { kind = prefix verdict = miss_nofetch url = 'http://' }\n",
		false);
	check_url("x", ICP_OP_HIT);
	check_url("http://e.org/two2", ICP_OP_HIT);
	check_url("http://e.org/one1", ICP_OP_MISS);
	check_url("http://e.org/one1/two2", ICP_OP_DENIED);
	check_url("http://e.org/one1/3", ICP_OP_MISS_NOFETCH);
	check_url("http://e.org/three/one1", ICP_OP_MISS_NOFETCH);
	check_url("c009e009", ICP_OP_ERR);
	check_url("c009e00", ICP_OP_MISS);
}

/* A URL in which texts could be at more places than the program looks at is passed up. */
TEST(too_many_places_inside_the_url)
{
	char url[256];
	size_t length;

	prepare("default = err\n"
		"policy 1 { kind = substring verdict = hit texts = { 'aaab', 'c001', 'c002', "
		"'c003', 'c004', 'c005', 'c006', 'c007', 'c008', 'c009' } }\n"
		"policy 2 { kind = substring verdict = denied texts = { 'aaaa', 'd001', 'd002', "
		"'d003', 'd004', 'd005', 'd006', 'd007', 'd008', 'd009' } }\n",
		false);
	memset(url, 'a', sizeof(url));
	for (length = 4; length < 4 + MATCH_PLACES_MAX; length++) {
		url[length] = '\0';
		check_url(url, 22);
		url[length] = 'a';
	}
	url[length] = '\0';
	check_url_passes(url, ICP_COUNT_PASSED_HORIZON);
	/* What is found first ends the search, if nothing comes before it. */
	url[3] = 'b';
	check_url(url, 2);
}

/* A damaged tree of another reading is noticed, if it is looked up. */
TEST(readings_with_broken_trees)
{
	struct map_chain chain, broken;
	uint32_t one = 1;

	prepare("default = err\n"
		"policy 1 { kind = prefix verdict = hit url = 'http://e.org/' }\n"
		"policy 2 { kind = suffix verdict = denied texts = { .png, .jpeg } }\n"
		"policy 3 { kind = host verdict = miss hosts = { f.org, .gg.org } }\n",
		false);
	assert_int_equal(
		bpf_map_lookup_elem(bpf_map__fd(program.skeleton->maps.chain), &one, &chain), 0);
	check_url("http://g.org/a.jpeg", 22);
	check_url("http://gg.org/a.jpg", 3);
	broken = chain;
	broken.trees[URL_BACKWARD].first_bucket = 0x7fffffff;
	program_put_chain(&program, &broken);
	check_url("http://e.org/a.jpeg", 2);
	check_url_passes("http://g.org/a.jpeg", ICP_COUNT_PASSED_COLLISION);
	broken = chain;
	broken.trees[URL_HOST].first_line = 0xffffffff;
	program_put_chain(&program, &broken);
	check_url("http://gg.org/a.jpeg", 22);
	check_url_passes("http://gg.org/a.jpg", ICP_COUNT_PASSED_COLLISION);
	broken = chain;
	broken.first_answer = 2 * ANSWERS_MAX;
	program_put_chain(&program, &broken);
	check_url_passes("http://g.org/a.jpeg", ICP_COUNT_PASSED_FAILED);
}
