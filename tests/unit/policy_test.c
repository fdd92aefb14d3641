// SPDX-License-Identifier: GPL-2.0-or-later
/* Matching and settings of each kind of policy. */
#include <sys/stat.h>

#include "support/policies.h"
#include "lib/byteset.h"

#define BY_PCRE "(?=)" /* begins a pattern that has no automaton, and changes nothing else */

#define KINDS                                                                                      \
	"prefix, exact, substring, suffix, glob, regex, host, partition, source, load, health, "   \
	"flag, "                                                                                   \
	"schedule, recent, lua, helper, plugin"

TEST(a_prefix_is_one_of_bytes)
{
	struct policy *policy = make_policy("kind = prefix verdict = hit "
					    "urls = { 'http://e.org/a', 'http://f.org/' }");

	assert_int_equal(ask_url(policy, "http://e.org/a"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "http://e.org/ab"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "http://e.org/"), NOTHING);
	assert_int_equal(ask_url(policy, "http://e.org/A"), NOTHING);
	assert_int_equal(ask_url(policy, "http://f.org/x"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "x"), NOTHING);
	policy_free(policy);
}

TEST(the_empty_prefix_matches_all)
{
	struct policy *policy = make_policy("kind = prefix verdict = denied url = ''");

	assert_int_equal(ask_url(policy, "x"), ICP_OP_DENIED);
	policy_free(policy);
}

TEST(the_longest_of_a_file)
{
	static const char list[] = "# comment\n"
				   "\n"
				   "http://e.org/\tmiss\r\n"
				   "http://e.org/a\r\n"
				   "http://e.org/a\n"
				   "http://e.org/a/b\tICP_OP_DENIED\n"
				   "\tmiss_nofetch\n"
				   "http://e.org/c\tERR";
	struct policy *policy =
		MAKE_LISTED("kind = prefix verdict = hit url = 'http://g.org/'", list);

	assert_int_equal(ask_url(policy, "http://e.org/x"), ICP_OP_MISS);
	assert_int_equal(ask_url(policy, "http://e.org/ax"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "http://e.org/a/bx"), ICP_OP_DENIED);
	assert_int_equal(ask_url(policy, "http://e.org/c"), ICP_OP_ERR);
	assert_int_equal(ask_url(policy, "http://g.org/c"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "# comment"), ICP_OP_MISS_NOFETCH);
	assert_int_equal(policy_text_count(policy), 6);
	policy_free(policy);
}

TEST(no_verdict_where_each_line_has_one)
{
	struct policy *policy = MAKE_LISTED("kind = exact", "a\thit\nb\tmiss\n");

	assert_int_equal(ask_url(policy, "a"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "b"), ICP_OP_MISS);
	policy_free(policy);
}

TEST(list_errors)
{
	LIST_ERROR(
		"kind = prefix", "a\thit\n\nb\n",
		"FILE:3: policy 'p': 'b' has no verdict; give it one with a TAB before it, or set "
		"'verdict' in the policy (hit, miss, miss_nofetch, denied or err)");
	LIST_ERROR("kind = prefix", "a\thit\nb\thot\r\n",
		   "FILE:2: policy 'p': unknown verdict 'hot'; it can be hit, miss, miss_nofetch, "
		   "denied or err");
	LIST_ERROR("kind = prefix verdict = hit", "\xef\xbb\xbf#\n",
		   "FILE:1: policy 'p': a byte order mark; save the file as UTF-8 without one");
	LIST_ERROR("kind = prefix verdict = hit", "#\na b\n",
		   "FILE:2: policy 'p': 'a b' has white space in it; no URL has, write it as %20");
	LIST_ERROR("kind = substring verdict = hit", "ab\0c\n",
		   "FILE:1: policy 'p': there is a NUL behind 'ab'; no URL has one, leave it out");
}

TEST(a_url_with_two_verdicts)
{
	LIST_ERROR("kind = exact verdict = hit", "a\n#\na\thit\na\tmiss\n",
		   "FILE:4: policy 'p': this URL has another verdict at FILE:1; keep one of them");
	LIST_ERROR("kind = prefix verdict = denied\nurls = { z,\na }", "\na\tmiss\n",
		   "FILE:2: policy 'p': this URL has another verdict at c:3; keep one of them");
}

TEST(urls_have_16359_bytes_at_most)
{
	char list[16361];
	struct policy *policy;

	memset(list, 'x', sizeof(list));
	list[16359] = '\n';
	policy = make_file_policy("kind = exact verdict = hit", list, 16360);
	list[16359] = '\0';
	assert_int_equal(ask_url(policy, list), ICP_OP_HIT);
	list[16358] = '\0';
	assert_int_equal(ask_url(policy, list), NOTHING);
	policy_free(policy);

	memset(list, 'x', sizeof(list));
	assert_file_error(
		"kind = prefix verdict = hit", list, 16360,
		formatted(
			"FILE:1: policy 'p': '%.200s...' has 16360 bytes; a URL has at most 16359",
			list));
}

TEST(a_list_that_cannot_be_read)
{
	assert_chain_error("policy p {\nkind = prefix\nverdict = hit\nfile = '/no/such' }",
			   "c:4: policy 'p': cannot read the list '/no/such': No such file or "
			   "directory; name a file that the daemon may read");
	assert_chain_error("policy p { kind = prefix verdict = hit file = '/dev/null' }",
			   "c:1: policy 'p': cannot read the list '/dev/null': not a regular file; "
			   "name a file that the daemon may read");
}

TEST(a_list_that_is_a_fifo)
{
	char path[LIST_PATH_SIZE];

	write_list(path, "", 0);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	alarm(60); /* a bug would block forever */
	assert_chain_error(formatted("policy p { kind = prefix verdict = hit file = '%s' }", path),
			   formatted("c:1: policy 'p': cannot read the list '%s': not a regular "
				     "file; name a file that the daemon may read",
				     path));
	alarm(0);
	unlink(path);
}

TEST(exact_urls_are_whole)
{
	struct policy *policy = make_policy("kind = exact verdict = hit "
					    "urls = { 'http://e.org/a', 'http://e.org/abc' }");

	assert_int_equal(ask_url(policy, "http://e.org/a"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "http://e.org/ab"), NOTHING);
	assert_int_equal(ask_url(policy, "http://e.org/abc"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "http://e.org/"), NOTHING);
	policy_free(policy);
	assert_chain_error("policy p { kind = exact verdict = hit\nurls = { a, '' } }",
			   "c:2: policy 'p': an empty URL; no query has one, leave it out");
}

TEST(the_first_listed_substring)
{
	struct policy *policy = MAKE_LISTED("kind = substring verdict = hit texts = { baz }",
					    "foobar\tmiss\nfoo\tdenied\no\terr\n");

	assert_int_equal(ask_url(policy, "http://e.org/foo"), ICP_OP_DENIED);
	assert_int_equal(ask_url(policy, "http://e.org/foobar"), ICP_OP_MISS);
	assert_int_equal(ask_url(policy, "http://e.org/foobar/baz"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "http://e.org/"), ICP_OP_ERR);
	assert_int_equal(ask_url(policy, "http://e.net/"), NOTHING);
	policy_free(policy);
}

TEST(regular_expressions)
{
	struct policy *policy =
		MAKE_LISTED("kind = regex verdict = miss_nofetch pattern = \"/admin(/|$)\"",
			    "\\.png$\thit\n^ftp:\tmiss\n");

	assert_int_equal(ask_url(policy, "http://e.org/admin"), ICP_OP_MISS_NOFETCH);
	assert_int_equal(ask_url(policy, "http://e.org/admin/x.png"), ICP_OP_MISS_NOFETCH);
	assert_int_equal(ask_url(policy, "http://e.org/administration"), NOTHING);
	assert_int_equal(ask_url(policy, "http://e.org/x.png"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "http://e.org/xxpng"), NOTHING);
	assert_int_equal(ask_url(policy, "ftp://e.org/x"), ICP_OP_MISS);
	policy_free(policy);
}

/* The JIT of PCRE2 10.42 finds no match for most of them. */
TEST(alternatives_of_several_lengths)
{
	static const char *const patterns[] = { "x(y|)z*y", "x(|y)z*y", "x(?:y|)z*y", "x(y||b)z*y",
						"/(ba|b)./*a/?aa?" };

	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		struct policy *policy = make_policy(formatted(
			"kind = regex verdict = hit pattern = '" BY_PCRE "%s'", patterns[i]));

		assert_int_equal(ask_url(policy, "xy/baaabaaa"), ICP_OP_HIT);
		assert_int_equal(ask_url(policy, "xz/ba"), NOTHING);
		policy_free(policy);
	}
}

TEST(patterns_see_bytes)
{
	struct policy *policy = make_policy("kind = regex verdict = hit pattern = '^.\\xff.$'");

	assert_int_equal(ask_url(policy, "\x80\xff\xc3"), ICP_OP_HIT);
	assert_int_equal(ask_url(policy, "\x80\xfe\xc3"), NOTHING);
	policy_free(policy);
	assert_chain_error("policy p { kind = regex verdict = hit\npattern = '(*UTF)x' }",
			   "c:2: policy 'p': pattern '(*UTF)x' is wrong at offset 6: using UTF is "
			   "disabled by the application; see pcre2pattern(3)");
}

TEST(a_wrong_pattern)
{
	/* Too large only with what bounds the time of a search. */
	assert_chain_error(
		"\npolicy p { kind = regex verdict = hit\n"
		"pattern = '(?:(?:(?=a)b){1,40}){1,40}' }",
		"c:2: policy 'p': pattern '(?:(?:(?=a)b){1,40}){1,40}': regular expression "
		"is too large with what bounds its searches; write several");
	assert_chain_error("policy p { kind = regex verdict = hit\npatterns = { a,\n'b(c' } }",
			   "c:3: policy 'p': pattern 'b(c' is wrong at offset 3: missing closing "
			   "parenthesis; see pcre2pattern(3)");
}

TEST(endless_searches_are_aborted)
{
	struct chain *chain = make_chain("policy a { kind = regex verdict = hit "
					 "patterns = { '" BY_PCRE "^(a+)+$', 'never' } }"
					 "policy b { kind = regex verdict = miss not = true "
					 "pattern = '" BY_PCRE "^(a|aa)+$' }");
	struct chain_decision decision = decide_url(chain, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"
							   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");

	assert_int_equal(decision.gave_up, 2);
	assert_string_equal(decision.policy->name, "b");
	assert_int_equal(decision.verdict.opcode, ICP_OP_MISS);
	decision = decide_url(chain, "aaaaaa");
	assert_int_equal(decision.gave_up, 0);
	assert_string_equal(decision.policy->name, "a");
	chain_free(chain);
}

TEST(an_automaton_gives_nothing_up)
{
	struct chain *chain = make_chain("policy a { kind = regex verdict = hit "
					 "patterns = { '^(a+)+$', '^(b|bb)+$' } }");
	static char url[16001];
	struct chain_decision decision;

	memset(url, 'a', 16000);
	assert_int_equal(decide_url(chain, url).verdict.opcode, ICP_OP_HIT);
	url[15999] = 'b';
	decision = decide_url(chain, url);
	assert_null(decision.policy);
	assert_int_equal(decision.gave_up, 0);
	chain_free(chain);
}

/* A URL of at most `length` bytes: `word` repeated, then `tail`. */
static const char *long_url(const char *word, size_t length, const char *tail)
{
	static char url[ICP_MESSAGE_MAX];
	char *end = url;

	while (end - url + strlen(word) + strlen(tail) <= length)
		end = stpcpy(end, word);
	strcpy(end, tail);
	return url;
}

/*
 * The first pattern of each pair is for JIT code, the second for the interpreter, see
 * jit_is_sound(). The limit holds for the whole URL, however little is tried at each offset in it.
 */
TEST(the_whole_search_is_bounded)
{
	static const struct {
		const char *pattern, *word, *tail;
	} searches[] = {
		{ "/admin.*x.*y", "/admin", "yx" },
		{ "/(admin|root).*x.*y", "/admin", "yx" },
		{ "(?=.*x$)a", "a", "xy" },
		{ "(?=.*(x|y)$)a", "a", "xyz" },
		{ "[a-z]+[.]png$", "a", ".pngs" },
		{ "[a-z]+[.](png|gif)$", "a", ".pngs" },
		{ "(a+)\\1y", "a", "xy" },
		{ "(a+|b)\\1y", "a", "xy" },
		{ "/(.*)/\\1/secret", "/a", "/sec-ret" },
		{ "/(.*|b)/\\1/secret", "/a", "/sec-ret" },
	};

	for (size_t i = 0; i < sizeof(searches) / sizeof(searches[0]); i++) {
		const char *word = searches[i].word, *tail = searches[i].tail;
		struct chain_decision decision;
		struct chain *chain = make_chain(formatted(
			"policy p { kind = regex verdict = hit pattern = '" BY_PCRE "%s' }",
			searches[i].pattern));

		decision = decide_url(chain, long_url(word, 16000, tail));
		if (decision.gave_up != 1 || decision.policy)
			fail_msg("'%s' is searched for to the end", searches[i].pattern);
		decision = decide_url(chain, long_url(word, 100, tail));
		if (decision.gave_up != 0 || decision.policy)
			fail_msg("'%s' is given up in a short URL", searches[i].pattern);
		chain_free(chain);
	}
}

TEST(long_urls_are_searched)
{
	static const char *const patterns[] = {
		"/admin(/|$)",	 "[?&]colour=(blue|green)$", "^http://[^/]*/.*[.]png$",
		"[a-z]+[.]png$", "(?i)\\.(GIF|PNG)$",	     "([a-z]+)/\\1/x"
	};
	static const char *const tails[] = { "/admin", "?colour=blue", "x.png",
					     "x.png",  "x.png",	       "xyz/xyz/x" };

	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		static const size_t lengths[] = { 100, 1000, 3000, 4000, 8000, 16000 };
		struct chain *chain = make_chain(formatted(
			"policy p { kind = regex verdict = hit pattern = '" BY_PCRE "%s' }",
			patterns[i]));

		/* Each backreference is charged with a share of the URL. */
		for (size_t j = 0; j < (strstr(patterns[i], "\\1") ? 3 : 6); j++) {
			char url[ICP_MESSAGE_MAX] = "http://www.example.com/";
			struct chain_decision decision;

			strcat(url, long_url("administration/of/", lengths[j], tails[i]));
			decision = decide_url(chain, url);
			if (decision.gave_up || decision.verdict.opcode != ICP_OP_HIT)
				fail_msg("'%s' is not found in %zu bytes", patterns[i], lengths[j]);
			url[strlen(url) - 1] = '_';
			decision = decide_url(chain, url);
			if (decision.gave_up || decision.policy)
				fail_msg("'%s' in %zu bytes", patterns[i], lengths[j]);
		}
		chain_free(chain);
	}
}

TEST(patterns_share_the_limit)
{
	static const char pattern[] = "'" BY_PCRE "/admin.*x.*y', ";
	char text[64 + 100 * sizeof(pattern)];

	for (size_t count = 1; count <= 100; count += 99) {
		struct chain_decision decision;
		struct chain *chain;
		char *end = stpcpy(text, "policy p { kind = regex verdict = hit patterns = { ");

		for (size_t i = 0; i < count; i++)
			end = stpcpy(end, pattern);
		strcpy(end, "'never' } }");
		chain = make_chain(text);
		decision = decide_url(chain, long_url("/admin", 1000, "yx"));
		assert_int_equal(decision.gave_up, count > 1);
		decision = decide_url(chain, "http://www.example.com/admin/x/of/a/usual/url");
		assert_int_equal(decision.gave_up, 0);
		chain_free(chain);
	}
}

TEST(not_inverts_every_kind)
{
	static const char *const kinds[] = { "prefix", "exact", "substring", "regex" };

	for (size_t i = 0; i < 4; i++) {
		struct policy *policy = make_policy(
			formatted("kind = %s verdict = denied not = true %s = 'abc'", kinds[i],
				  i < 2 ? "url" : (i == 2 ? "text" : "pattern")));

		assert_int_equal(ask_url(policy, "abc"), NOTHING);
		assert_int_equal(ask_url(policy, "xyz"), ICP_OP_DENIED);
		policy_free(policy);
	}
}

TEST(kinds_in_the_kernel)
{
	struct chain *chain =
		make_chain("policy a { kind = prefix verdict = hit url = abc }"
			   "policy b { kind = exact verdict = hit url = abc }"
			   "policy c { kind = substring verdict = hit text = abc }"
			   "policy d { kind = regex verdict = hit pattern = abc }"
			   "policy e { kind = glob verdict = hit pattern = '*abc?' }"
			   "policy f { kind = regex verdict = hit pattern = '(a)\\1' }");
	struct byteset_member member;
	struct error reason;

	member = byteset_get(policy_texts(chain_policy(chain, 0)), 0);
	assert_int_equal(member.length, 3);
	member = byteset_get(policy_texts(chain_policy(chain, 1)), 0);
	assert_int_equal(member.length, 4);
	assert_memory_equal(member.text, "abc\0", 4);
	for (size_t rank = 0; rank < 6; rank++) {
		assert_int_equal(policy_in_kernel(chain_policy(chain, rank), &reason), rank < 5);
		assert_int_equal(policy_texts(chain_policy(chain, rank)) != NULL, rank < 2);
	}
	assert_non_null(strstr(reason.text, "back reference"));
	chain_free(chain);
}

TEST(setting_errors)
{
	static const struct {
		const char *text, *error;
	} mistakes[] = {
		{ "\npolicy p { }", "c:2: policy 'p': 'kind' is missing; the kinds are " KINDS },
		{ "policy p {\nkind = x }",
		  "c:2: policy 'p': unknown kind 'x'; the kinds are " KINDS },
		{ "policy p { kind = prefix\nverdict = hot }",
		  "c:2: policy 'p': verdict: unknown verdict 'hot'; it can be hit, miss, "
		  "miss_nofetch, denied or err" },
		{ "policy p {\nkind = prefix\nurl = a }",
		  "c:1: policy 'p': 'verdict' is missing; it can be hit, miss, miss_nofetch, "
		  "denied or err" },
		{ "policy p {\nkind = prefix verdict = hit }",
		  "c:1: policy 'p': 'urls' or 'file' is missing" },
		{ "policy p {\nkind = regex verdict = hit\nurls = { a } }",
		  "c:3: policy 'p': kind 'regex' does not take 'urls'; it takes patterns, pattern, "
		  "file, kind, verdict, cost, not" },
		{ "policy p { kind = prefix verdict = hit url = a\ncost = 65536 }",
		  "c:2: policy 'p': cost: '65536' is not a number from 0 to 65535" },
		{ "policy p { kind = prefix verdict = hit url = a cost = -1 }",
		  "c:1: policy 'p': cost: '-1' is not a number from 0 to 65535" },
		{ "policy p { kind = prefix verdict = hit url = a cost = ' 1' }",
		  "c:1: policy 'p': cost: ' 1' is not a number from 0 to 65535" },
		{ "policy p { kind = prefix verdict = hit url = a\nnot = maybe }",
		  "c:2: policy 'p': not: 'maybe' is neither true nor false" },
		{ "policy p { kind = prefix\nnot = yes url = a }",
		  "c:2: policy 'p': 'verdict' is missing; 'not' needs one, which can be hit, miss, "
		  "miss_nofetch, denied or err" },
		{ "policy p { kind = prefix verdict = {\nhit,\nmiss } url = a }",
		  "c:3: policy 'p': 'verdict' takes one value, not 2" },
		{ "policy p { kind = prefix verdict = hit url = { a,\nb } }",
		  "c:2: policy 'p': 'url' takes one value, not 2" },
		{ "policy 'a\nb' { kind = prefix verdict = hit url = a }",
		  "c:2: the name of a policy has a control character; leave it out" },
		{ "\npolicy '' { kind = prefix verdict = hit url = a }",
		  "c:2: the name of a policy is empty; give it one" },
		{ "policy p { kind = prefix verdict = hit urls = { 'a',\n'b c' } }",
		  "c:2: policy 'p': 'b c' has white space in it; no URL has, write it as %20" },
	};

	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
		assert_chain_error(mistakes[i].text, mistakes[i].error);
}

/* Scripts, helpers and plugins have state that is not thread-safe. */
TEST(kinds_of_the_main_thread)
{
	for (size_t i = 0; policy_kinds[i]; i++) {
		const char *name = policy_kinds[i]->name;
		bool expected = strcmp(name, "lua") == 0 || strcmp(name, "helper") == 0 ||
				strcmp(name, "plugin") == 0;

		assert_int_equal(policy_kinds[i]->main_thread, expected);
	}
}
