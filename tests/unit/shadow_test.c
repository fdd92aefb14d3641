// SPDX-License-Identifier: GPL-2.0-or-later
/* Entries that an earlier policy shadows. */
#include "support/chains.h"
#include "chain/shadow.h"

#define RANKS 8

static struct chain *chain;
static struct shadow shadows[RANKS];

static void find(const char *text)
{
	struct error error;

	chain = make_chain(text);
	assert_true(chain_count(chain) <= RANKS);
	assert_int_equal(chain_find_shadows(chain, shadows, &error), 0);
}

static void assert_shadow(size_t rank, size_t count, const char *first, size_t by)
{
	assert_int_equal(shadows[rank].count, count);
	assert_string_equal(shadows[rank].first, first);
	assert_ptr_equal(shadows[rank].by, chain_policy(chain, by));
}

static void assert_none(size_t rank)
{
	assert_int_equal(shadows[rank].count, 0);
}

TEST(urls)
{
	find("policy 0 { kind = prefix verdict = hit urls = { 'http://a/', 'http://a/x' } }"
	     "policy 1 { kind = exact verdict = miss urls = { 'http://a', 'http://a/', "
	     "'http://b/y' } }"
	     "policy 2 { kind = prefix verdict = miss urls = { 'http://b/', 'http://a/x/y' } }"
	     "policy 3 { kind = exact verdict = hit urls = { 'http://b/y', 'http://c/' } }"
	     "policy 4 { kind = substring verdict = hit text = 'http://a/' }");
	assert_none(0);
	assert_shadow(1, 1, "http://a/", 0);
	assert_int_equal(shadows[1].entries, 3);
	assert_shadow(2, 1, "http://a/x/y", 0);
	assert_shadow(3, 1, "http://b/y", 1);
	assert_none(4);
	assert_int_equal(shadows[4].entries, 0);
	chain_free(chain);
}

TEST(other_readings)
{
	find("policy 0 { kind = suffix verdict = hit texts = { '.gif', 'x' } }"
	     "policy 1 { kind = suffix verdict = miss texts = { 'a.gif', 'gif' } }"
	     "policy 2 { kind = host verdict = hit hosts = { '.e.org', 'f.org' } }"
	     "policy 3 { kind = host verdict = miss hosts = { '.w.e.org', 'f.org', '.f.org' } }"
	     "policy 4 { kind = host verdict = miss hosts = { 'e.org' } }");
	assert_none(0);
	assert_shadow(1, 1, "a.gif", 0);
	assert_none(2);
	assert_shadow(3, 2, ".w.e.org", 2);
	assert_shadow(4, 1, "e.org", 2);
	chain_free(chain);
}

TEST(complements)
{
	find("policy 0 { kind = prefix verdict = miss not = true urls = { 'http://a/', 'https:' } }"
	     "policy 1 { kind = prefix verdict = hit"
	     "  urls = { 'http://a/x', 'http://', 'http://b/', 'https' } }"
	     "policy 2 { kind = prefix verdict = hit not = true url = 'http://b/' }"
	     "policy 3 { kind = suffix verdict = hit text = 'x' }");
	assert_none(0);
	assert_shadow(1, 1, "http://b/", 0);
	assert_none(2);
	assert_none(3);
	chain_free(chain);
}

TEST(networks)
{
	find("policy 0 { kind = source verdict = hit from = { '192.0.2.0/24', '2001:db8::/32' } }"
	     "policy 1 { kind = source verdict = denied from = { '192.0.0.0/16', '198.51.100.7' } }"
	     "policy 2 { kind = source verdict = miss from = { '192.0.2.128/25', '2001:db8::1' } }"
	     "policy 3 { kind = source verdict = miss from = { '198.51.100.7', '10.0.0.0/8' } }");
	assert_none(0);
	assert_none(1);
	assert_shadow(2, 2, "192.0.2.128/25", 0);
	assert_shadow(3, 1, "198.51.100.7/32", 1);
	chain_free(chain);
}

/* Many of the same depth. */
TEST(many)
{
	char path[LIST_PATH_SIZE];
	const size_t size = 40 * 20000;
	char *list = malloc(size), *end = list;

	assert_non_null(list);
	for (int i = 0; i < 20000; i++)
		end += sprintf(end, "http://%d.e.org/%d\n", i % 100, i);
	write_list(path, list, end - list);
	find(formatted("policy 0 { kind = prefix verdict = hit file = '%s' }"
		       "policy 1 { kind = prefix verdict = hit file = '%s' }",
		       path, path));
	assert_shadow(1, 20000, "http://0.e.org/0", 0);
	chain_free(chain);
	unlink(path);
	free(list);
}
