// SPDX-License-Identifier: GPL-2.0-or-later
/* Helpers: shell scripts as children, their replies, their exits. */
#include <errno.h>
#include <signal.h>

#include "support/evaluations.h"
#include "helper/pool.h"

TEST_EACH(open_base, close_base)

static char script_path[LIST_PATH_SIZE];

static char states[256]; /* the names of those that were reported, each with a blank */

static void note_state(void *context, struct policy *policy)
{
	struct policy_state told;

	policy_tell_state(policy, &told);
	snprintf(states + strlen(states), sizeof(states) - strlen(states), "%s ", told.name);
}

/* The script goes into a file: the configuration parser expands dollars and quotes. */
static struct chain *start_chain(const char *script, const char *settings)
{
	struct chain *chain;
	struct error error;

	write_list(script_path, script, strlen(script));
	chain = make_chain(formatted("policy p { kind = helper program = { '/bin/sh', '%s' } %s }",
				     script_path, settings));
	*states = '\0';
	if (chain_start(chain, base, note_state, NULL, &error))
		fail_msg("%s", error.text);
	return chain;
}

static void end_chain(struct chain *chain)
{
	chain_free(chain);
	unlink(script_path);
}

/* Replies with the part of the URL after the last slash. */
#define ECHO "while read -r url source; do echo ${url##*/}; done"

TEST(replies_become_verdicts)
{
	struct chain *chain = start_chain(ECHO, "ttl = 5s timeout = 10s");
	struct verdict verdict;

	assert_int_equal(decide(chain, "http://e/hit"), ICP_OP_HIT);
	assert_int_equal(decide(chain, "http://e/ICP_OP_MISS_NOFETCH"), ICP_OP_MISS_NOFETCH);
	assert_int_equal(decide(chain, "http://e/Denied"), ICP_OP_DENIED);
	ask(chain, "http://e/-", &verdict);
	assert_int_equal(wait_for(&verdict), NOTHING);
	assert_false(verdict.gave_up);
	assert_true(verdict.cacheable);
	ask(chain, "http://e/hot", &verdict);
	assert_int_equal(wait_for(&verdict), NOTHING);
	assert_true(verdict.gave_up);
	assert_false(verdict.cacheable);
	assert_int_equal(decide(chain, "http://e/"), NOTHING);
	assert_int_equal(decide(chain, "http://e/\xff\x80/miss"), ICP_OP_MISS);
	end_chain(chain);
}

TEST(requests_have_url_and_source)
{
	struct chain *chain = start_chain("while read -r line; do case $line in "
					  "'http://e/ 192.0.2.4') echo hit ;; "
					  "'http://e6/ 2001:db8::6') echo miss ;; "
					  "*) echo err ;; esac; done",
					  "children = 1 timeout = 10s");

	assert_int_equal(decide(chain, "http://e/"), ICP_OP_HIT);
	assert_int_equal(decide(chain, "http://e6/"), ICP_OP_MISS);
	end_chain(chain);
}

TEST(many_requests_at_once)
{
	static const char *const urls[] = { "x/hit", "x/miss", "x/denied", "x/err", "x/-" };
	static const enum icp_opcode verdicts[] = { ICP_OP_HIT, ICP_OP_MISS, ICP_OP_DENIED,
						    ICP_OP_ERR, NOTHING };
	struct chain *chain = start_chain(ECHO, "children = 3 timeout = 10s");
	static struct verdict seen[1000];

	for (size_t i = 0; i < 1000; i++)
		ask(chain, urls[i * i % 5], &seen[i]);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(wait_for(&seen[i]), verdicts[i * i % 5]);
	end_chain(chain);
}

TEST(late_reply_is_dropped)
{
	char gate[LIST_PATH_SIZE];
	struct chain *chain;
	struct verdict verdict;

	/* The first request gets its reply when the file is gone, all others at once. */
	write_list(gate, "", 0);
	chain = start_chain(formatted("read -r x; while [ -e %s ]; do sleep 0.01; done; echo hit; "
				      "while read -r x; do echo miss; done",
				      gate),
			    "children = 1 timeout = 50ms");
	ask(chain, "x", &verdict);
	assert_int_equal(wait_for(&verdict), NOTHING);
	assert_true(verdict.gave_up);
	/* A queued request times out as well. */
	assert_int_equal(decide(chain, "y"), NOTHING);
	unlink(gate);
	do
		ask(chain, "z", &verdict);
	while (wait_for(&verdict) == NOTHING);
	assert_int_equal(verdict.opcode, ICP_OP_MISS);
	end_chain(chain);
}

TEST(other_queries_are_decided_meanwhile)
{
	struct chain *chain = make_chain("policy b { kind = exact verdict = hit url = b }"
					 "policy c { kind = helper timeout = 10s "
					 "program = { '/bin/sh', '-c', 'read -r x; read -r y' } }");
	struct verdict waits;
	struct error error;

	assert_int_equal(chain_start(chain, base, NULL, NULL, &error), 0);
	ask(chain, "x", &waits);
	assert_int_equal(decide(chain, "b"), ICP_OP_HIT);
	assert_int_equal(waits.times, 0);
	chain_free(chain); /* completes the request, without a verdict */
	assert_int_equal(waits.times, 1);
	assert_int_equal(waits.opcode, NOTHING);
	assert_int_equal(evaluations_pending(), 0);
}

TEST(exited_children_are_restarted)
{
	struct chain *chain = start_chain("read -r url source; echo ${url##*/}", "children = 1");
	const struct policy *policy = chain_policy(chain, 0);
	int replied = 0;

	assert_state(policy, "running", "1 of 1 child runs");
	/* Each child replies once; a query between two children gets no verdict. */
	while (replied < 3) {
		enum icp_opcode opcode = decide(chain, "x/hit");

		replied += opcode == ICP_OP_HIT;
		if (opcode != ICP_OP_HIT) {
			assert_int_equal(opcode, NOTHING);
			event_base_loop(base, EVLOOP_ONCE);
		}
	}
	assert_non_null(strstr(states, "restarting running "));
	assert_state(policy, "*", "*; process * ended with exit code 0, restart after 100 ms");
	end_chain(chain);
}

TEST(faults_and_warnings_are_told)
{
	struct chain *chain =
		start_chain("read -r u s; echo fish; read -r u s; echo; echo", "children = 1");
	const struct policy *policy = chain_policy(chain, 0);

	assert_int_equal(decide(chain, "x"), NOTHING);
	assert_state(policy, "running",
		     "1 of 1 child runs; the last warning, *: the helper replied 'fish'*");
	decide(chain, "x");
	while (!*states)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	assert_memory_equal(states, "dead ", 5);
	assert_state(policy, "*",
		     "* of 1 *; process * wrote a line without a request, restart after 100 ms; *");
	end_chain(chain);
}

/* --- the pool */

struct reply {
	int times;
	char line[32];
};

static void note(void *context, void *request, const char *line, size_t length)
{
	struct reply *reply = request;

	reply->times++;
	snprintf(reply->line, sizeof(reply->line), "%s", line ? line : "(none)");
}

static void ask_pool(struct helper_pool *pool, const char *line, struct reply *reply)
{
	assert_true(helper_pool_ask(pool, line, strlen(line), reply));
}

static void await_reply(const struct reply *reply)
{
	while (!reply->times)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
}

static struct helper_pool *open_pool_with(const char *script, unsigned int children,
					  unsigned int stall)
{
	char *arguments[] = { (char *)"/bin/sh", (char *)"-c", (char *)script, NULL };
	const struct helper_settings settings = { "p", arguments, children, 10000, stall };
	struct error error;
	struct helper_pool *pool = helper_pool_new(base, &settings, note, NULL, &error);

	if (!pool)
		fail_msg("%s", error.text);
	return pool;
}

static struct helper_pool *open_pool(const char *script, unsigned int children)
{
	return open_pool_with(script, children, HELPER_STALL);
}

/* How many of these children still run? */
static size_t left_of(const struct helper_pool *pool, const int *pids, size_t count)
{
	size_t left = 0, running;
	int now[3];

	running = helper_pool_children(pool, now, 3);
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < running; k++)
			left += pids[i] == now[k];
	return left;
}

TEST(requests_of_exited_children_are_retried_once)
{
	/* The child that reads `die` exits, and so does the one that gets the retry. */
	struct helper_pool *pool = open_pool("while read -r x; do [ $x = die ] && exit 3; "
					     "echo $x; done",
					     3);
	struct reply once = { 0 }, other = { 0 };
	int pids[3];

	assert_int_equal(helper_pool_children(pool, pids, 3), 3);
	ask_pool(pool, "die\n", &once);
	ask_pool(pool, "live\n", &other);
	await_reply(&once);
	await_reply(&other);
	assert_string_equal(once.line, "(none)");
	assert_string_equal(other.line, "live");
	assert_int_equal(left_of(pool, pids, 3), 1);
	helper_pool_free(pool);
	assert_int_equal(once.times + other.times, 2);
}

/* Neither is a child that stalls given more time, nor another one the same request. */
TEST(requests_of_stalled_children_are_not_retried)
{
	struct helper_pool *pool = open_pool_with("cat >/dev/null", 2, 100);
	struct reply reply = { 0 };
	int pids[2];

	assert_int_equal(helper_pool_children(pool, pids, 2), 2);
	ask_pool(pool, "x\n", &reply);
	await_reply(&reply);
	assert_string_equal(reply.line, "(none)");
	assert_int_equal(left_of(pool, pids, 2), 1);
	helper_pool_free(pool);
}

TEST(idle_children_do_not_stall)
{
	const struct timeval longer = { .tv_sec = 3, .tv_usec = 500000 };
	struct helper_pool *pool = open_pool_with("cat", 1, 3000);
	struct reply reply = { 0 };
	int pid;

	assert_int_equal(helper_pool_children(pool, &pid, 1), 1);
	ask_pool(pool, "x\n", &reply);
	await_reply(&reply);
	event_base_loopexit(base, &longer);
	event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
	assert_int_equal(left_of(pool, &pid, 1), 1);
	helper_pool_free(pool);
}

TEST(slow_child_delays_no_other)
{
	struct helper_pool *pool = open_pool("while read -r x; do case $x in slow) read -r x ;; "
					     "*) echo $x ;; esac; done",
					     2);
	struct reply slow = { 0 }, quick[10] = { { 0 } };

	ask_pool(pool, "slow\n", &slow);
	for (int i = 0; i < 10; i++)
		ask_pool(pool, "quick\n", &quick[i]);
	for (int i = 0; i < 10; i++) {
		await_reply(&quick[i]);
		assert_string_equal(quick[i].line, "quick");
	}
	assert_int_equal(slow.times, 0);
	helper_pool_free(pool);
	assert_string_equal(slow.line, "(none)");
}

TEST(queue_is_bounded)
{
	static struct reply replies[HELPER_QUEUE_BYTES_MAX / 2];
	static char line[16384];

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	for (size_t length = 2; length <= sizeof(line); length += sizeof(line) - 2) {
		struct helper_pool *pool = open_pool("read -r x; read -r x", 2);
		const char *request = line + sizeof(line) - length;
		size_t count = 0;

		memset(replies, 0, sizeof(replies));
		while (helper_pool_ask(pool, request, length, &replies[count]))
			count++;
		/* Two are with the children. */
		assert_in_range((count - 2) * (length + 16), 1, HELPER_QUEUE_BYTES_MAX);
		assert_true((count - 1) * (length + 256) > HELPER_QUEUE_BYTES_MAX);
		helper_pool_free(pool);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(replies[i].times, 1);
		assert_int_equal(replies[count].times, 0);
	}
}

TEST(queue_is_flushed_when_no_child_runs)
{
	struct helper_pool *pool = open_pool("read -r x; exit 3", 1);
	struct reply replies[3] = { { 0 } };

	for (int i = 0; i < 3; i++)
		ask_pool(pool, "x\n", &replies[i]);
	await_reply(&replies[2]);
	for (int i = 0; i < 3; i++)
		assert_string_equal(replies[i].line, "(none)");
	helper_pool_free(pool);
}

TEST(unsolicited_line_restarts_child)
{
	struct helper_pool *pool = open_pool("echo hello; read -r x", 1);
	int pids[1], first;

	assert_int_equal(helper_pool_children(pool, pids, 1), 1);
	first = pids[0];
	while (helper_pool_children(pool, pids, 1) && pids[0] == first)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	helper_pool_free(pool);
}

TEST(endless_reply)
{
	struct helper_pool *pool = open_pool("read -r x; exec cat /dev/zero", 1);
	struct reply reply = { 0 };

	ask_pool(pool, "x\n", &reply);
	await_reply(&reply);
	assert_string_equal(reply.line, "(none)");
	assert_non_null(strstr(helper_pool_state(pool).ended, "wrote a line that is too long"));
	helper_pool_free(pool);
}

TEST(child_that_ignores_sigterm)
{
	struct helper_pool *pool = open_pool("trap '' TERM; echo; while :; do sleep 1; done", 1);

	helper_pool_free(pool); /* close_base() checks that it has exited */
}

/* A process that has ended may not have been reaped yet. */
static bool is_running(pid_t pid)
{
	char state = 'Z';
	FILE *file = fopen(formatted("/proc/%d/stat", pid), "r");

	if (!file)
		return false;
	assert_int_equal(fscanf(file, "%*d %*s %c", &state), 1);
	fclose(file);
	return state != 'Z';
}

/* It would outlive the daemon, and each restart of the child would add one. */
TEST(rest_of_an_exited_childs_group)
{
	struct helper_pool *pool =
		open_pool("read -r x; (trap '' TERM; exec sleep 100) >/dev/null & "
			  "echo $!; read -r x",
			  1);
	struct reply rest = { 0 }, none = { 0 };
	pid_t pid;

	ask_pool(pool, "x\n", &rest);
	await_reply(&rest);
	pid = (pid_t)strtol(rest.line, NULL, 10);
	assert_true(is_running(pid));
	ask_pool(pool, "y\n", &none);
	await_reply(&none);
	for (int i = 0; i < 1000 && is_running(pid); i++) {
		assert_in_range(event_base_loop(base, EVLOOP_NONBLOCK), 0, 1);
		usleep(10000);
	}
	assert_false(is_running(pid));
	helper_pool_free(pool);
}

/* It replies in one line, and stays. */
TEST(program_that_is_run_for_a_line)
{
	char *arguments[] = { (char *)"/bin/sh", (char *)"-c", (char *)"echo $$; exec sleep 100",
			      NULL };
	const struct helper_run run = { arguments, "", 0, 60000 };
	struct error error;
	char output[32];

	assert_int_equal(helper_run(&run, output, sizeof(output), &error), 0);
	assert_int_equal(kill((pid_t)strtol(output, NULL, 10), 0), -1);
	assert_int_equal(errno, ESRCH);
	arguments[2] = (char *)"printf 1234567; exec sleep 100";
	assert_int_equal(helper_run(&run, output, 8, &error), 0);
	assert_string_equal(output, "1234567");
}

TEST(files_and_signals_of_children)
{
	struct helper_pool *pool;
	struct reply files = { 0 }, ignored = { 0 };
	int fd = dup(STDIN_FILENO); /* as a library may have it */

	pool = open_pool("read -r x; ls /proc/self/fd | tr '\\n' ' '; echo; "
			 "read -r x; grep SigIgn /proc/self/status; "
			 "read -r x",
			 1);
	close(fd);
	ask_pool(pool, "x\n", &files);
	ask_pool(pool, "y\n", &ignored);
	await_reply(&files);
	await_reply(&ignored);
	assert_string_equal(files.line, "0 1 2 3 "); /* the last is ls's own */
	assert_memory_equal(ignored.line, "SigIgn:\t", 8);
	/* All but those that glibc reserves. */
	assert_int_equal(strtoull(ignored.line + 8, NULL, 16) & 0x7fffffff, 0);
	helper_pool_free(pool);
}

/* Else a child could write to the terminal's input, TIOCSTI, as if that was typed. */
TEST(children_have_no_terminal)
{
	struct helper_pool *pool =
		open_pool("read -r x; read -r pid name state parent group session x "
			  "</proc/$$/stat; echo $((pid - group)) $((pid - session))",
			  1);
	struct reply reply = { 0 };

	ask_pool(pool, "x\n", &reply);
	await_reply(&reply);
	assert_string_equal(reply.line, "0 0");
	helper_pool_free(pool);
}

TEST(configuration_errors)
{
	assert_chain_error("policy p { kind = helper }",
			   "c:1: policy 'p': 'program' is missing (the absolute path of the "
			   "program, then its arguments)");
	assert_chain_error(
		"policy p {\nkind = helper\nprogram = { 'x', 'y' } }",
		"c:3: policy 'p': program: 'x' is not a program; name one by its absolute "
		"path, its arguments behind it: program = { \"/path\", \"argument\" }");
	assert_chain_error("policy p { kind = helper program = '/bin/sh'\nchildren = 65 }",
			   "c:2: policy 'p': children: '65' is not a number from 1 to 64");
}
