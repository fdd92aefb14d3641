// SPDX-License-Identifier: GPL-2.0-or-later
/* Policies on what was seen lately: what the XDP program makes of the kernel's copy of their stores. */
#include <pthread.h>
#include <stdatomic.h>

#include "lib/clock.h"
#include "policy/kinds/recent.h"
#include "support/program_check.h"

TEST_ALL(open_program, close_program)

#define HIT 2
#define MISS 3
#define DENIED 22
#define SLOTS RECENT_SLOTS(RECENT_HOMES(PROGRAM_RECENTS))

static struct kernel *kernel;
static struct chain *chain;
static struct compiled *compiled;

/* Make the chain the active one; unless `follows`, its stores are not copied. */
static void switch_to(bool follows)
{
	const struct candidate nothing = candidate_of(RANK_NONE, ICP_OP_INVALID, ICP_NO_COST);
	struct kernel_chain prepared;
	struct error error;

	assert_int_equal(kernel_prepare_chain(kernel, compiled, false, LEASE, &prepared, &error),
			 0);
	prepared.recents_of = follows ? chain : NULL;
	assert_int_equal(kernel_switch_chain(kernel, &prepared, &nothing, &error), 0);
}

static void open_chain(const char *config)
{
	prepare("default = err", false);
	kernel = program_kernel(&program);
	chain = make_chain(config);
	compiled = compile(chain);
	switch_to(true);
}

static void close_chain(void)
{
	kernel_close(kernel);
	compiled_free(compiled);
	chain_unref(chain);
	memset(program_recents(&program), 0, SLOTS * sizeof(struct recent_slot));
}

static void add(size_t rank, const char *url)
{
	struct error error;

	assert_int_equal(policy_recent_add(chain_policy(chain, rank), url, strlen(url), &error), 0);
}

static void drop(size_t rank, const char *url)
{
	policy_recent_remove(chain_policy(chain, rank), url, strlen(url));
}

/* The program replies what the chain says. */
static void check_same(const char *url)
{
	check_url(url, decide_url(chain, url).verdict.opcode);
}

static size_t entries(void)
{
	size_t count = 0;

	for (size_t i = 0; i < SLOTS; i++)
		count += program_recents(&program)[i].seal != 0;
	return count;
}

static void finish_steps(void)
{
	for (int i = 0; i < 1000 && !kernel_step_recents(kernel, 3); i++)
		;
	assert_true(kernel_step_recents(kernel, 3));
}

TEST(keys_come_and_go)
{
	open_chain("policy 1 { kind = recent verdict = hit window = 1h key = 'host+1' entries_max "
		   "= 9 }\n"
		   "policy 2 { kind = recent verdict = denied not = true window = 1h key = host\n"
		   "           entries_max = 9 }\n");
	assert_int_equal(compiled->horizon, RANK_NONE);
	check_url("http://e.org/a/1", DENIED);
	add(0, "http://E.org/a/1");
	check_url("http://e.org/a/1", HIT);
	check_url("http://e.org/a/2?x", HIT);
	check_url("https://u:p@e.ORG/a/", HIT);
	check_url("http://e.org/a", DENIED);
	check_url("http://e.org:80/a/1", DENIED);
	add(1, "http://e.org/other");
	check_url("http://e.org/a", MISS);
	check_url("http://e.org/a/3", HIT);
	drop(0, "http://e.org/a/9");
	check_url("http://e.org/a/1", MISS);
	drop(1, "http://e.org/");
	check_url("http://e.org/a/1", DENIED);
	close_chain();
}

/* The longest key that the kernel has, and the next one. */
TEST(long_keys)
{
	char url[256] = "http://e.org/";

	open_chain("policy 1 { kind = recent verdict = hit window = 1h entries_max = 9 }\n");
	memset(url + strlen(url), 'x', RECENT_TEXT_MAX - strlen(url));
	check_url(url, MISS);
	add(0, url);
	check_url(url, HIT);
	url[RECENT_TEXT_MAX - 1] = 'y';
	check_url(url, MISS);
	strcat(url, "z");
	check_url_passes(url, ICP_COUNT_PASSED_HORIZON);
	add(0, url);
	check_url_passes(url, ICP_COUNT_PASSED_HORIZON);
	assert_int_equal(entries(), 1);
	close_chain();
}

TEST(expiry)
{
	static const text_word key[3] = { 0x6162636465666768 };
	struct recent_store *store;
	char url[9] = "";
	uint64_t now;

	open_chain("policy 1 { kind = recent verdict = hit window = 1h entries_max = 9 }\n");
	store = policy_recent_store(chain_policy(chain, 0));
	memcpy(url, key, 8);
	now = clock_kernel_ns();
	recent_store_put(store, (struct recent_key){ key, 8 }, now + 3600000000000, now);
	check_url(url, HIT);
	drop(0, url);
	now = clock_kernel_ns();
	recent_store_put(store, (struct recent_key){ key, 8 }, now + 1000000, now);
	while (clock_kernel_ns() <= now + 1000000)
		usleep(1000);
	check_url(url, MISS);
	assert_int_equal(entries(), 1);
	close_chain();
}

/* Without the daemon nothing is known of the last moments. */
TEST(lease)
{
	static const struct candidate nothing = { .rank = RANK_NONE };
	struct error error;

	open_chain("policy 0 { kind = prefix verdict = denied url = x }\n"
		   "policy 1 { kind = recent verdict = hit window = 1h entries_max = 9 }\n");
	add(1, "http://e.org/");
	check_url("http://e.org/", HIT);
	assert_int_equal(set_chain(kernel, compiled, false, 0, &nothing, &error), 0);
	usleep(10000);
	check_url_passes("http://e.org/", ICP_COUNT_PASSED_LEASE_EXPIRED);
	check_url_passes("http://f.org/", ICP_COUNT_PASSED_LEASE_EXPIRED);
	check_url("x", DENIED);
	close_chain();
}

/* What the kernel does not have as a whole is passed up, until it is copied. */
TEST(stores_that_are_copied_later)
{
	open_chain("policy 1 { kind = recent verdict = hit window = 1h entries_max = 32 }\n");
	switch_to(false);
	for (int i = 0; i < 20; i++)
		add(0, formatted("http://e.org/%d", i));
	check_url_passes("http://e.org/1", ICP_COUNT_PASSED_HORIZON);
	switch_to(true);
	check_url_passes("http://e.org/1", ICP_COUNT_PASSED_HORIZON);
	assert_false(kernel_step_recents(kernel, 3));
	add(0, "http://f.org/");
	drop(0, "http://e.org/0");
	drop(0, "http://e.org/19");
	finish_steps();
	check_url("http://e.org/0", MISS);
	check_url("http://e.org/1", HIT);
	check_url("http://e.org/18", HIT);
	check_url("http://e.org/19", MISS);
	check_url("http://f.org/", HIT);
	assert_int_equal(entries(), 19);
	close_chain();
}

/* Left by others: it is no one's, and makes room. Nothing in it is believed. */
static void fill_map(void)
{
	struct recent_slot *slots = program_recents(&program);

	memset(slots, 0xff, SLOTS * sizeof(*slots));
}

TEST(a_full_map)
{
	open_chain("policy 1 { kind = recent verdict = hit window = 1h entries_max = 9 }\n");
	finish_steps();
	fill_map();
	check_url("http://e.org/", MISS);
	drop(0, "http://e.org/");
	add(0, "http://e.org/");
	check_url_passes("http://e.org/", ICP_COUNT_PASSED_HORIZON);
	check_url_passes("http://f.org/", ICP_COUNT_PASSED_HORIZON);
	finish_steps();
	check_url("http://e.org/", HIT);
	check_url("http://f.org/", MISS);
	assert_int_equal(entries(), 1);
	close_chain();
}

TEST(flush)
{
	struct error error;

	open_chain("policy 1 { kind = recent verdict = hit window = 1h entries_max = 9 }\n");
	add(0, "http://e.org/");
	assert_int_equal(policy_recent_flush(chain_policy(chain, 0), &error), 0);
	kernel_refresh_recents(kernel, chain);
	check_url("http://e.org/", MISS);
	add(0, "http://f.org/");
	finish_steps();
	check_url("http://f.org/", HIT);
	assert_int_equal(entries(), 1);
	close_chain();
}

/* A slot that has another key's bytes proves nothing. */
TEST(entries_are_compared)
{
	struct recent_slot *slot = program_recents(&program);

	open_chain("policy 1 { kind = recent verdict = hit window = 1h entries_max = 9 }\n");
	add(0, "http://e.org/");
	check_url("http://e.org/", HIT);
	while (!slot->seal)
		slot++;
	for (int i = 0; i < 5; i++) {
		const struct recent_slot before = *slot;

		slot->text[12] ^= i == 0;
		slot->expires += i == 1;
		slot->store += i == 2;
		slot->length += i == 3;
		slot->seal ^= i == 4 ? 1ull << 32 : 0;
		check_url_passes("http://e.org/", ICP_COUNT_PASSED_HORIZON);
		*slot = before;
		check_url("http://e.org/", HIT);
	}
	close_chain();
}

TEST(horizons)
{
	static const struct in6_addr no_source = { 0 };
	struct chain_decision decision;

	open_chain("policy 1 { kind = regex verdict = denied pattern = '(?=)word' }\n"
		   "policy 2 { kind = recent verdict = hit window = 1h entries_max = 9 }\n");
	check_url_passes("http://e.org/", ICP_COUNT_PASSED_HORIZON);
	/* What is remembered counts as long as no such policy matches. */
	decision = decide_url(chain, "http://e.org/");
	assert_true(decision.cacheable);
	kernel_remember(kernel, "http://e.org/", 13, &no_source,
			candidate_of(decision.rank, decision.verdict.opcode, ICP_NO_COST), 0);
	check_url("http://e.org/", MISS);
	add(1, "http://e.org/");
	check_url("http://e.org/", HIT);
	assert_false(decide_url(chain, "http://e.org/").cacheable);
	close_chain();

	open_chain("policy 1 { kind = recent verdict = hit window = 1h entries_max = 9 }\n"
		   "policy 2 { kind = recent verdict = denied window = 1h entries_max = 9 }\n"
		   "policy 3 { kind = recent verdict = hit window = 1h entries_max = 9 }\n"
		   "policy 4 { kind = recent verdict = hit window = 1h entries_max = 9 }\n"
		   "policy 5 { kind = recent verdict = denied window = 1h entries_max = 9 }\n");
	assert_int_equal(compiled->horizon, 4);
	assert_string_equal(compiled->horizon_reason.text,
			    "the kernel evaluates 4 policies of its kind");
	check_url_passes("http://e.org/", ICP_COUNT_PASSED_HORIZON);
	assert_false(decide_url(chain, "http://e.org/").cacheable);
	add(3, "http://e.org/");
	check_url("http://e.org/", HIT);
	add(1, "http://e.org/");
	check_url("http://e.org/", DENIED);
	close_chain();
}

/* --- at random */

#define STEPS 3000

static void make_url(uint64_t *random, char url[128])
{
	static const char *const hosts[] = { "e.org", "E.org", "[::1]", "u@e.org", "e.org:8080" };
	static const char *const paths[] = { "", "/", "/a", "/a/", "/a/b/c", "/a//b?c/d", "/b#/x" };

	snprintf(url, 128, "%s%s%s", random_below(random, 8) ? "http://" : "",
		 hosts[random_below(random, 5)], paths[random_below(random, 7)]);
}

TEST(random_keys)
{
	uint64_t random = 1;
	char url[128];

	open_chain(
		"policy 1 { kind = recent verdict = hit window = 1h key = path entries_max = 4 }\n"
		"policy 2 { kind = prefix verdict = denied url = 'http://e.org/b' }\n"
		"policy 3 { kind = recent verdict = err window = 1h key = 'host+1' entries_max = 4 "
		"}\n"
		"policy 4 { kind = recent verdict = miss_nofetch not = true window = 1h key = "
		"host\n"
		"           entries_max = 4 }\n"
		"policy 5 { kind = suffix verdict = denied text = '/c' }\n"
		"policy 6 { kind = recent verdict = hit window = 1h query = false entries_max = 4 "
		"}\n");
	for (int i = 0; i < STEPS; i++) {
		static const size_t ranks[] = { 0, 2, 3, 5 };
		size_t rank = ranks[random_below(&random, 4)];

		make_url(&random, url);
		if (random_below(&random, 2))
			add(rank, url);
		else if (random_below(&random, 2))
			drop(rank, url);
		make_url(&random, url);
		check_same(url);
	}
	close_chain();
}

/* --- beside the writer */

#define QUERIES 100000
#define ASKED 6
#define MESSAGE_OFFSET 42 /* Ethernet, IPv4, UDP */

static atomic_bool ended;

/* The first two URLs are seen again and again, the second two come and go, the last never come. */
static void name_url(int number, char url[128])
{
	snprintf(url, 128, "http://www.example.org/%070d", number);
}

static void *see(void *context)
{
	char url[128];

	for (int i = 0; !ended; i++) {
		name_url(i % 4, url);
		if (i % 4 < 2 || i % 8 < 4)
			add(0, url);
		else
			drop(0, url);
	}
	return NULL;
}

/* What has been overwritten while it was read may be passed up, but decides nothing. */
TEST(entries_that_are_overwritten)
{
	struct envelope envelope = envelope_v4();
	struct bytes frames[ASKED], out, message;
	size_t replies = 0, wrong = 0;
	pthread_t writer;
	char url[128];

	open_chain("policy 1 { kind = recent verdict = hit window = 1h entries_max = 9 }\n");
	for (int i = 0; i < ASKED; i++) {
		struct datagram datagram = { .options = 0x40000000, .url = url };

		name_url(i, url);
		datagram.url_size = strlen(url) + 1;
		message_build(&message, &datagram);
		frame_build(&frames[i], &envelope, &message);
	}
	name_url(0, url);
	add(0, url);
	name_url(1, url);
	add(0, url);
	ended = false;
	assert_int_equal(pthread_create(&writer, NULL, see, NULL), 0);
	for (int i = 0; i < QUERIES; i++) {
		int asked = i % ASKED;
		uint32_t action;

		program_run(&program, &frames[asked], &out, &action);
		if (action != XDP_TX)
			continue;
		replies++;
		if (asked < 2)
			wrong += out.at[MESSAGE_OFFSET] != HIT;
		else if (asked >= 4)
			wrong += out.at[MESSAGE_OFFSET] != MISS;
	}
	ended = true;
	pthread_join(writer, NULL);
	close_chain();
	assert_true(replies > QUERIES / 2);
	assert_int_equal(wrong, 0);
}
