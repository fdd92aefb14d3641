// SPDX-License-Identifier: GPL-2.0-or-later
/* Helpers: children of a shell, what they answer, when they die. */
#include "evaluation_support.h"
#include "helper/pool.h"

static char script_path[LIST_PATH_SIZE];

/* The script goes into a file: configurations have their own mind about dollars and quotes. */
static struct chain *start_chain(const char *script, const char *settings)
{
	char text[512];
	struct chain *chain;
	struct error error;

	write_list(script_path, script, strlen(script));
	snprintf(text, sizeof(text), "policy p { kind = helper program = { '/bin/sh', '%s' } %s }",
		 script_path, settings);
	chain = make_chain(text);
	if (chain_start(chain, base, NULL, NULL, &error))
		fail_msg("%s", error.text);
	return chain;
}

static void end_chain(struct chain *chain)
{
	chain_free(chain);
	unlink(script_path);
}

/* Answers with the part of the URL behind the last slash. */
#define ECHO "while read -r url source; do echo ${url##*/}; done"

TEST(what_helpers_answer)
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

TEST(what_helpers_are_asked)
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

TEST(many_at_once_in_order)
{
	static const char *const urls[] = { "x/hit", "x/miss", "x/denied", "x/err", "x/-" };
	static const enum icp_opcode verdicts[] = { ICP_OP_HIT, ICP_OP_MISS, ICP_OP_DENIED,
						    ICP_OP_ERR, NOTHING };
	struct chain *chain = start_chain(ECHO, "children = 3 timeout = 10s");
	static struct verdict said[1000];

	for (size_t i = 0; i < 1000; i++)
		ask(chain, urls[i * i % 5], &said[i]);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(wait_for(&said[i]), verdicts[i * i % 5]);
	end_chain(chain);
}

TEST(a_late_answer_is_dropped)
{
	char script[256], gate[LIST_PATH_SIZE];
	struct chain *chain;
	struct verdict verdict;

	/* The first question is answered when the file is gone, all others at once. */
	write_list(gate, "", 0);
	snprintf(script, sizeof(script),
		 "read -r x; while [ -e %s ]; do sleep 0.01; done; echo hit; "
		 "while read -r x; do echo miss; done",
		 gate);
	chain = start_chain(script, "children = 1 timeout = 50ms");
	ask(chain, "x", &verdict);
	assert_int_equal(wait_for(&verdict), NOTHING);
	assert_true(verdict.gave_up);
	/* Nor is one answered in time whose turn does not come. */
	assert_int_equal(decide(chain, "y"), NOTHING);
	unlink(gate);
	do
		ask(chain, "z", &verdict);
	while (wait_for(&verdict) == NOTHING);
	assert_int_equal(verdict.opcode, ICP_OP_MISS);
	end_chain(chain);
}

TEST(others_go_on_while_one_waits)
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
	chain_free(chain); /* the question is answered: with nothing */
	assert_int_equal(waits.times, 1);
	assert_int_equal(waits.opcode, NOTHING);
	assert_int_equal(evaluations_pending(), 0);
}

TEST(the_dead_are_replaced)
{
	struct chain *chain = start_chain("read -r url source; echo ${url##*/}", "children = 1");
	int answered = 0;

	/* Each child answers once; those who ask between two get nothing. */
	while (answered < 3) {
		enum icp_opcode opcode = decide(chain, "x/hit");

		answered += opcode == ICP_OP_HIT;
		if (opcode != ICP_OP_HIT) {
			assert_int_equal(opcode, NOTHING);
			event_base_loop(base, EVLOOP_ONCE);
		}
	}
	end_chain(chain);
}

/* --- the pool */

struct answer {
	int times;
	char line[32];
};

static void note(void *context, void *question, const char *line, size_t length)
{
	struct answer *answer = question;

	(void)context;
	(void)length;
	answer->times++;
	snprintf(answer->line, sizeof(answer->line), "%s", line ? line : "(none)");
}

static struct helper_pool *open_pool(const char *script, unsigned int children)
{
	char *arguments[] = { (char *)"/bin/sh", (char *)"-c", (char *)script, NULL };
	const struct helper_settings settings = { "p", arguments, children, 10000, HELPER_STALL };
	struct error error;
	struct helper_pool *pool = helper_pool_new(base, &settings, note, NULL, &error);

	if (!pool)
		fail_msg("%s", error.text);
	return pool;
}

TEST(questions_of_the_dead_are_asked_again)
{
	/* Both read; the one that is asked `die` dies, and so does the next. */
	struct helper_pool *pool = open_pool("while read -r x; do [ $x = die ] && exit 3; "
					     "echo $x; done",
					     3);
	struct answer once = { 0 }, other = { 0 };
	int pids[3];

	assert_int_equal(helper_pool_children(pool, pids, 3), 3);
	assert_true(helper_pool_ask(pool, "die\n", 4, &once));
	assert_true(helper_pool_ask(pool, "live\n", 5, &other));
	while (!once.times || !other.times)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	assert_string_equal(once.line, "(none)");
	assert_string_equal(other.line, "live");
	helper_pool_free(pool);
	assert_int_equal(once.times + other.times, 2);
}

TEST(a_slow_one_delays_no_other)
{
	struct helper_pool *pool = open_pool("while read -r x; do case $x in slow) read -r x ;; "
					     "*) echo $x ;; esac; done",
					     2);
	struct answer slow = { 0 }, quick[10] = { { 0 } };

	assert_true(helper_pool_ask(pool, "slow\n", 5, &slow));
	for (int i = 0; i < 10; i++)
		assert_true(helper_pool_ask(pool, "quick\n", 6, &quick[i]));
	for (int i = 0; i < 10; i++) {
		while (!quick[i].times)
			assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
		assert_string_equal(quick[i].line, "quick");
	}
	assert_int_equal(slow.times, 0);
	helper_pool_free(pool);
	assert_string_equal(slow.line, "(none)");
}

TEST(no_more_wait_than_there_is_room_for)
{
	static struct answer answers[HELPER_QUEUE_BYTES_MAX / 2];
	static char line[16384];

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	for (size_t length = 2; length <= sizeof(line); length += sizeof(line) - 2) {
		struct helper_pool *pool = open_pool("read -r x; read -r x", 2);
		const char *question = line + sizeof(line) - length;
		size_t count = 0;

		memset(answers, 0, sizeof(answers));
		while (helper_pool_ask(pool, question, length, &answers[count]))
			count++;
		/* Two are with the children. */
		assert_in_range((count - 2) * (length + 16), 1, HELPER_QUEUE_BYTES_MAX);
		assert_true((count - 1) * (length + 256) > HELPER_QUEUE_BYTES_MAX);
		helper_pool_free(pool);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(answers[i].times, 1);
		assert_int_equal(answers[count].times, 0);
	}
}

TEST(when_the_last_is_lost_nobody_waits)
{
	struct helper_pool *pool = open_pool("read -r x; exit 3", 1);
	struct answer answers[3] = { { 0 } };

	for (int i = 0; i < 3; i++)
		assert_true(helper_pool_ask(pool, "x\n", 2, &answers[i]));
	while (!answers[2].times)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	for (int i = 0; i < 3; i++)
		assert_string_equal(answers[i].line, "(none)");
	helper_pool_free(pool);
}

TEST(lines_that_nobody_asked_for)
{
	struct helper_pool *pool = open_pool("echo hello; read -r x", 1);
	int pids[1], first;

	assert_int_equal(helper_pool_children(pool, pids, 1), 1);
	first = pids[0];
	while (helper_pool_children(pool, pids, 1) && pids[0] == first)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	helper_pool_free(pool);
}

TEST(an_answer_without_an_end)
{
	struct helper_pool *pool = open_pool("read -r x; exec cat /dev/zero", 1);
	struct answer answer = { 0 };

	assert_true(helper_pool_ask(pool, "x\n", 2, &answer));
	while (!answer.times)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	assert_string_equal(answer.line, "(none)");
	helper_pool_free(pool);
}

TEST(children_that_do_not_want_to_go)
{
	struct helper_pool *pool = open_pool("trap '' TERM; echo; while :; do sleep 1; done", 1);

	helper_pool_free(pool); /* close_base() sees that it is gone */
}

TEST(what_children_inherit)
{
	struct helper_pool *pool = open_pool("read -r x; ls /proc/self/fd | tr '\\n' ' '; echo; "
					     "read -r x; grep SigIgn /proc/self/status; read -r x",
					     1);
	struct answer files = { 0 }, ignored = { 0 };

	assert_true(helper_pool_ask(pool, "x\n", 2, &files));
	assert_true(helper_pool_ask(pool, "y\n", 2, &ignored));
	while (!files.times || !ignored.times)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	assert_string_equal(files.line, "0 1 2 3 "); /* the last is ls's own */
	assert_memory_equal(ignored.line, "SigIgn:\t", 8);
	/* All but those that glibc keeps for itself. */
	assert_int_equal(strtoull(ignored.line + 8, NULL, 16) & 0x7fffffff, 0);
	helper_pool_free(pool);
}

TEST(mistakes)
{
	assert_chain_error("policy p { kind = helper }",
			   "c:1: policy 'p': 'program' is missing (the absolute path of the "
			   "program, then its arguments)");
	assert_chain_error("policy p {\nkind = helper\nprogram = { 'x', 'y' } }",
			   "c:3: policy 'p': program: 'x' is no program; name one by its absolute "
			   "path, its arguments behind it: program = { \"/path\", \"argument\" }");
	assert_chain_error("policy p { kind = helper program = '/bin/sh'\nchildren = 65 }",
			   "c:2: policy 'p': children: '65' is not a number from 1 to 64");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_base, close_base)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_helpers_answer),
		CASE(what_helpers_are_asked),
		CASE(many_at_once_in_order),
		CASE(a_late_answer_is_dropped),
		CASE(others_go_on_while_one_waits),
		CASE(the_dead_are_replaced),
		CASE(questions_of_the_dead_are_asked_again),
		CASE(a_slow_one_delays_no_other),
		CASE(no_more_wait_than_there_is_room_for),
		CASE(when_the_last_is_lost_nobody_waits),
		CASE(lines_that_nobody_asked_for),
		CASE(an_answer_without_an_end),
		CASE(children_that_do_not_want_to_go),
		CASE(what_children_inherit),
		CASE(mistakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
