// SPDX-License-Identifier: GPL-2.0-or-later
/* The kind recent: logs that are appended to, rotated and truncated, sockets, and reloads. */
#include <fcntl.h>
#include <fnmatch.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "policy/kinds/recent.h"
#include "support/policies.h"

#define WAIT 30 /* seconds, at most */

static struct event_base *base;

FIXTURE(set_up)
{
	base = event_base_new();
	return make_top(state) ? -1 : event_base_priority_init(base, 2);
}

FIXTURE(tear_down)
{
	unlink(below("log"));
	unlink(below("log.1"));
	unlink(below("log.2"));
	event_base_free(base);
	return remove_top(state);
}

TEST_EACH(set_up, tear_down)

static unsigned int changes;

static void changed(void *context, struct policy *policy)
{
	changes++;
}

static struct policy *start(struct policy *policy)
{
	struct error error = { "" };

	changes = 0;
	if (policy->kind->start(policy, base, changed, NULL, &error))
		fail_msg("%s", error.text);
	return policy;
}

/* A policy on the log; `more` are further settings. */
static struct policy *make(const char *more)
{
	return make_policy(formatted("kind = recent verdict = hit window = 10m key = 'host+1' "
				     "host = e.org log = '%s' %s",
				     below("log"), more));
}

static struct policy *make_fed(const char *more)
{
	return make_policy(formatted("kind = recent verdict = hit window = 10m feed = '%s' %s",
				     below("feed"), more));
}

static bool said_hit(const struct policy *policy, const char *url)
{
	return ask_url(policy, url) == ICP_OP_HIT;
}

/* Run the event loop until the policy matches a URL. */
static void await(const struct policy *policy, const char *url)
{
	time_t end = time(NULL) + WAIT;

	while (!said_hit(policy, url)) {
		if (time(NULL) > end)
			fail_msg("%s is not matched", url);
		event_base_loop(base, EVLOOP_ONCE);
	}
}

static void await_skipped(const struct policy *policy, uint64_t count)
{
	time_t end = time(NULL) + WAIT;

	while (policy_recent_counts(policy).skipped != count) {
		if (time(NULL) > end)
			fail_msg("%ju skipped, not %ju",
				 (uintmax_t)policy_recent_counts(policy).skipped, (uintmax_t)count);
		event_base_loop(base, EVLOOP_ONCE);
	}
}

static void append_bytes(const char *name, const void *bytes, size_t size)
{
	int fd = open(below(name), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
}

/* Append a request for /PATH that was handled `age` seconds ago. */
static void append(const char *name, const char *path, int age)
{
	time_t then = time(NULL) - age;
	const char *line;
	char when[64];
	struct tm parts;

	strftime(when, sizeof(when), "%d/%b/%Y:%H:%M:%S +0000", gmtime_r(&then, &parts));
	line = formatted("::1 - - [%s] \"GET /%s HTTP/1.1\" 200 5 \"-\" \"x\"\n", when, path);
	append_bytes(name, line, strlen(line));
}

/* --- logs */

TEST(history_within_the_window)
{
	struct policy *policy;

	append("log", "old/1", 700);
	append("log", "new/1", 500);
	append("log", "future/1", -500);
	policy = make("");
	assert_false(said_hit(policy, "http://e.org/new/1"));
	start(policy);
	await(policy, "http://E.org/future/2?x");
	assert_true(said_hit(policy, "http://e.org/new/2"));
	assert_false(said_hit(policy, "http://e.org/old/1"));
	assert_false(said_hit(policy, "http://e.org/other/1"));
	assert_false(said_hit(policy, "https://e.org:81/new/2"));
	assert_state(policy, "fed", "2 of 100000 keys");
	policy->negate = true;
	assert_int_equal(ask_url(policy, "http://e.org/new/2"), NOTHING);
	assert_int_equal(ask_url(policy, "http://e.org/other/2"), ICP_OP_HIT);
	policy_free(policy);
}

/* What is in a log whose lines have no time may be of any age. */
TEST(no_history_without_times)
{
	struct policy *policy;

	append_bytes("log", "/a/1\n/b/1", 9);
	policy = start(make("format = '(?<url>.*)'"));
	append_bytes("log", "\n/c/1\n", 6);
	await(policy, "http://e.org/c/1");
	assert_false(said_hit(policy, "http://e.org/a/1"));
	assert_false(said_hit(policy, "http://e.org/b/1"));
	policy_free(policy);
}

TEST(a_log_comes_later_and_is_renamed)
{
	struct policy *policy = start(make(""));

	assert_state(policy, "waiting for a log", "/tmp/*/log; 0 of *");
	append("log", "a/1", 0);
	await(policy, "http://e.org/a/1");
	assert_state(policy, "fed", "1 of *");
	assert_int_equal(changes, 1);
	rename(below("log"), below("log.1"));
	append("log.1", "b/1", 0);
	await(policy, "http://e.org/b/1");
	append("log", "c/1", 0);
	await(policy, "http://e.org/c/1");
	append("log.1", "d/1", 0);
	await(policy, "http://e.org/d/1");
	policy_free(policy);
}

/* A renamed log that there is no end of, here a hole, does not keep the new one from being read. */
TEST(a_renamed_log_that_is_endless)
{
	struct policy *policy = start(make(""));

	append("log", "a/1", 0);
	await(policy, "http://e.org/a/1");
	rename(below("log"), below("log.1"));
	assert_int_equal(truncate(below("log.1"), 1ll << 40), 0);
	append("log", "b/1", 0);
	await(policy, "http://e.org/b/1");
	policy_free(policy);
}

TEST(a_log_is_truncated)
{
	struct policy *policy = start(make(""));

	append("log", "a-rather-long-name/1", 0);
	await(policy, "http://e.org/a-rather-long-name/1");
	assert_int_equal(truncate(below("log"), 0), 0);
	append("log", "b/1", 0);
	await(policy, "http://e.org/b/1");
	policy_free(policy);
}

TEST(lines_in_parts_and_nonsense)
{
	static char binary[100000];
	struct policy *policy = start(make(""));
	uint64_t random = 1;

	append_bytes("log", "::1 - - [10/Oct/2097:13:55:36 +0000] \"GET /in/pa", 47);
	event_base_loop(base, EVLOOP_ONCE);
	append_bytes("log", "rts HTTP/1.1\" 200 1\n", 20);
	await(policy, "http://e.org/in/parts");
	for (size_t i = 0; i < sizeof(binary); i++)
		binary[i] = '\x80' | random_below(&random, 256);
	/* Too long for a line, but one. */
	append_bytes("log", binary, sizeof(binary));
	append_bytes("log", "\n\n", 2);
	append("log", "behind/1", 0);
	await(policy, "http://e.org/behind/1");
	assert_int_equal(policy_recent_counts(policy).skipped, 2);
	assert_int_equal(policy_recent_counts(policy).requests, 2);
	assert_state(policy, "fed", "2 of * keys, 2 lines or datagrams skipped");
	policy_free(policy);
}

/* Make the log what cannot be read, and wait until that is seen. */
static void spoil_log(void)
{
	changes = 0;
	assert_int_equal(mkfifo(below("log"), 0600), 0);
	while (changes == 0)
		event_base_loop(base, EVLOOP_ONCE);
}

TEST(a_fifo_hangs_nothing)
{
	struct policy *policy = start(make(""));

	spoil_log();
	assert_state(policy, "a log cannot be read", "/tmp/*/log: not a regular file; 0 of *");
	unlink(below("log"));
	append("log", "a/1", 0);
	await(policy, "http://e.org/a/1");
	policy_free(policy);
}

/* --- sockets */

static void send_bytes(const char *bytes, size_t size)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", below("feed"));
	assert_int_equal(sendto(fd, bytes, size, 0, (struct sockaddr *)&address, sizeof(address)),
			 size);
	close(fd);
}

static void send_text(const char *text)
{
	send_bytes(text, strlen(text));
}

TEST(datagrams)
{
	static char large[17000];
	struct policy *policy = start(make_fed("feed_mode = '0606'"));
	struct stat status;

	assert_int_equal(lstat(below("feed"), &status), 0);
	assert_int_equal(status.st_mode & 0777, 0606);
	send_text("http://e.org/a");
	send_text("http://e.org/b\n");
	await(policy, "http://e.org/b");
	assert_true(said_hit(policy, "http://e.org/a"));
	assert_false(said_hit(policy, "http://e.org/"));
	send_text("");
	send_text("http://e.org/a b");
	memset(large, 'x', sizeof(large));
	send_bytes(large, sizeof(large));
	await_skipped(policy, 3);
	policy_free(policy);
	assert_int_equal(lstat(below("feed"), &status), -1);
}

TEST(policies_share_a_socket)
{
	struct policy *one = start(make_fed("")), *other = start(make_fed("key = host"));
	struct error error = { "" };
	struct policy *third = make_fed("feed_mode = 0666");

	send_text("http://e.org/a");
	await(other, "http://e.org/b");
	assert_true(said_hit(one, "http://e.org/a"));
	assert_false(said_hit(one, "http://e.org/b"));
	assert_int_equal(third->kind->start(third, base, changed, NULL, &error), -1);
	assert_non_null(strstr(error.text, "another `feed_mode`"));
	policy_free(third);
	policy_free(one);
	send_text("http://f.org/a");
	await(other, "http://f.org/b");
	policy_free(other);
}

/* --- reloads */

static struct policy *succeed(struct policy *next, const struct policy *old)
{
	next->kind->inherit(next, old);
	return start(next);
}

TEST(a_reload_keeps_keys_and_place)
{
	struct policy *old = start(make("")), *next, *last;

	append("log", "a/1", 0);
	await(old, "http://e.org/a/1");
	assert_true(policy_recent_remove(old, "http://e.org/a/1", 16));
	append("log", "b/1", 0);
	await(old, "http://e.org/b/1");
	next = succeed(make(""), old);
	/* The log is not read again. */
	append("log", "c/1", 0);
	policy_free(old);
	await(next, "http://e.org/c/1");
	assert_true(said_hit(next, "http://e.org/b/1"));
	assert_false(said_hit(next, "http://e.org/a/1"));
	/* Another window: the log is read again. */
	last = succeed(make("entries_max = 10"), next);
	assert_false(said_hit(last, "http://e.org/b/1"));
	await(last, "http://e.org/c/1");
	assert_true(said_hit(last, "http://e.org/a/1"));
	policy_free(next);
	policy_free(last);
}

/* What is written to a log that cannot be read is read once it can be, after a reload as before it. */
TEST(a_log_that_cannot_be_read_after_a_reload)
{
	struct policy *old = start(make("")), *next;

	append("log", "a/1", 0);
	await(old, "http://e.org/a/1");
	next = succeed(make(""), old);
	policy_free(old);
	rename(below("log"), below("log.1"));
	spoil_log();
	append("log.2", "b/1", 0);
	rename(below("log.2"), below("log"));
	await(next, "http://e.org/b/1");
	policy_free(next);
}

TEST(a_reload_opens_a_socket_that_was_removed)
{
	struct policy *old = start(make_fed("")), *next;

	send_text("http://e.org/a");
	await(old, "http://e.org/a");
	unlink(below("feed"));
	next = succeed(make_fed(""), old);
	policy_free(old);
	send_text("http://e.org/b");
	await(next, "http://e.org/b");
	assert_true(said_hit(next, "http://e.org/a"));
	policy_free(next);
}

/* --- by hand */

static bool tell(void *context, const char *key, size_t length, unsigned int age)
{
	assert_int_equal(age, 0);
	strncat(context, key, length);
	strcat(context, " ");
	return true;
}

TEST(add_remove_flush_list)
{
	struct policy *policy =
		make_policy("kind = recent verdict = hit window = 1h key = path entries_max = 2");
	char list[64] = "";
	struct error error;

	assert_int_equal(policy_recent_add(policy, "http://e.org/a", 14, &error), 0);
	assert_int_equal(policy_recent_add(policy, "http://e.org/b", 14, &error), 0);
	assert_int_equal(policy_recent_add(policy, "http://e.org/c", 14, &error), 0);
	policy_recent_list(policy, tell, list);
	assert_string_equal(list, "/c /b ");
	assert_true(said_hit(policy, "http://other.org/c"));
	assert_true(policy_recent_remove(policy, "http://x.org/c", 14));
	assert_false(policy_recent_remove(policy, "http://x.org/c", 14));
	assert_int_equal(policy_recent_flush(policy, &error), 0);
	assert_false(said_hit(policy, "http://e.org/b"));
	assert_int_equal(policy_recent_add(policy, "a b", 3, &error), -1);
	assert_string_equal(error.text, "'a b': a URL has 1 to 16359 bytes, and no white space");
	policy_free(policy);
}

/* What the log has by then is forgotten as well, whether it has been read or not. */
TEST(flush_with_a_log)
{
	struct error error;
	struct policy *policy;

	append("log", "a/1", 0);
	policy = start(make(""));
	assert_int_equal(policy_recent_flush(policy, &error), 0);
	append("log", "b/1", 0);
	await(policy, "http://e.org/b/1");
	assert_false(said_hit(policy, "http://e.org/a/1"));
	append("log", "c/1", 0);
	rename(below("log"), below("log.1"));
	append("log", "d/1", 0);
	assert_int_equal(policy_recent_flush(policy, &error), 0);
	append("log", "e/1", 0);
	append("log.1", "f/1", 0);
	await(policy, "http://e.org/e/1");
	await(policy, "http://e.org/f/1");
	assert_state(policy, "fed", "2 of *");
	policy_free(policy);
}

/* Of the longest URL a key can be all. */
TEST(long_urls)
{
	struct policy *policy = make_policy("kind = recent verdict = hit window = 1h");
	static char url[16360] = "http://e.org/";
	struct error error;

	memset(url + 13, 'x', sizeof(url) - 14);
	assert_int_equal(policy_recent_add(policy, url, strlen(url), &error), 0);
	assert_true(said_hit(policy, url));
	url[16000]++;
	assert_false(said_hit(policy, url));
	policy_free(policy);
}

/* --- mistakes */

TEST(mistakes)
{
	static const char *const rows[][2] = {
		{ "window = 1m", "c:1: policy 'p': 'verdict' is missing; *" },
		{ "verdict = hit", "c:1: policy 'p': 'window' is missing (how long *" },
		{ "verdict = hit window = 1500ms",
		  "c:1: policy 'p': window: must be whole seconds" },
		{ "verdict = hit window = 25h", "c:1: policy 'p': window: '25h' is not *" },
		{ "verdict = hit window = 1m key = hots", "c:1: 'hots' is not a key; *" },
		{ "verdict = hit window = 1m log = /x", "c:1: policy 'p': 'host' is missing: *" },
		{ "verdict = hit window = 1m host = 'http://h'",
		  "c:1: * host: 'http://h': write *" },
		{ "verdict = hit window = 1m host = h/", "c:1: * host: 'h/': write the host *" },
		{ "verdict = hit window = 1m host = ''", "c:1: * host: '': write the host *" },
		{ "verdict = hit window = 1m scheme = 'http:'", "c:1: * scheme: 'http:': write *" },
		{ "verdict = hit window = 1m host = h log = /", "c:1: policy 'p': /: cannot read "
								"the log: Is a directory" },
		{ "verdict = hit window = 1m host = h log = /dev/null",
		  "c:1: policy 'p': /dev/null: cannot read the log: not a regular file" },
		{ "verdict = hit window = 1m host = h log = { /x, /y, /x }",
		  "c:1: policy 'p': log: '/x' is given twice; once is enough" },
		{ "verdict = hit window = 1m format = x", "c:1: policy 'p': format: 'x' is *" },
		{ "verdict = hit window = 1m feed = x",
		  "c:1: policy 'p': feed: 'x' is not an absolute path; *" },
		{ "verdict = hit window = 1m feed_mode = 9",
		  "c:1: policy 'p': feed_mode: '9' is not a mode; *" },
		{ "verdict = hit window = 1m feed_group = no-such-group",
		  "c:1: policy 'p': feed_group: 'no-such-group': there is no such group" },
		{ "verdict = hit window = 1m entries_max = 0", "c:1: * entries_max: '0' is *" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error error = { "" };

		assert_null(try_policy(formatted("kind = recent %s", rows[i][0]), &error));
		if (fnmatch(rows[i][1], error.text, 0))
			fail_msg("'%s' is not '%s'", error.text, rows[i][1]);
	}
}
