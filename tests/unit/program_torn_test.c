// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * More hot URLs than `verdicts` holds: one CPU evicts entries for others while another CPU reads
 * them. The kernel reuses the memory of an evicted entry at once, so a reader may see the text of
 * one URL and the verdict of the next; the reply must never be that.
 *
 * XDP_ICP_TORN is the number of queries; `make torn` asks many.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "support/program_check.h"

#define VERDICTS 4
#define URLS 8
#define QUERIES 300000
#define MESSAGE_OFFSET 42 /* Ethernet, IPv4, UDP */

struct hot {
	char url[PREFIX_MAX];
	struct bytes frame;
	struct candidate decided;
};

static struct hot hot[URLS];
static atomic_bool ended;

static void fill_hot(void)
{
	static const enum icp_opcode verdicts[] = { ICP_OP_HIT, ICP_OP_MISS, ICP_OP_ERR,
						    ICP_OP_DENIED };
	struct envelope envelope = envelope_v4();

	for (int i = 0; i < URLS; i++) {
		struct datagram datagram = { .options = 0x40000000, .url = hot[i].url };
		struct bytes message;

		/* Long, and different at the end alone: it takes a while to compare and to copy. */
		snprintf(hot[i].url, sizeof(hot[i].url), "http://www.example.org/%0200d", i);
		datagram.url_size = strlen(hot[i].url) + 1;
		message_build(&message, &datagram);
		frame_build(&hot[i].frame, &envelope, &message);
		/* Neighbours differ in the verdict, the others at least in the cost. */
		hot[i].decided = candidate_of(0, verdicts[i % 4], 100 + i);
	}
}

/* One CPU for each thread; false: there is no such CPU. */
static bool settle(int number)
{
	cpu_set_t allowed, one;

	CPU_ZERO(&one);
	CPU_SET(number, &one);
	CPU_ZERO(&allowed);
	return sched_setaffinity(0, sizeof(one), &one) == 0 &&
	       sched_getaffinity(0, sizeof(allowed), &allowed) == 0 && CPU_EQUAL(&one, &allowed);
}

static void *remember_all(void *context)
{
	static const struct in6_addr anyone = { 0 };
	struct kernel *kernel = context;

	settle(1);
	while (!ended)
		for (int i = 0; i < URLS; i++)
			kernel_remember(kernel, hot[i].url, strlen(hot[i].url), &anyone,
					hot[i].decided, 0);
	return NULL;
}

static bool is_right(const struct bytes *reply, const struct hot *asked)
{
	const uint8_t *message = reply->at + MESSAGE_OFFSET;

	return message[0] == asked->decided.verdict.opcode &&
	       (message[14] << 8 | message[15]) == asked->decided.verdict.cost;
}

TEST(a_verdict_of_another_url)
{
	const char *wanted = getenv("XDP_ICP_TORN");
	long queries = wanted ? atol(wanted) : QUERIES, replies = 0, wrong = 0;
	struct candidate no_gate = candidate_of(RANK_NONE, ICP_OP_INVALID, ICP_NO_COST);
	struct compiled *compiled;
	static struct bytes out;
	struct kernel *kernel;
	struct chain *chain;
	struct error error;
	pthread_t writer;

	prepare("default = err", false);
	if (!settle(1) || !settle(0)) {
		print_message("# there is only one CPU\n");
		skip();
	}
	kernel = program_kernel(&program);
	chain = make_chain("policy 1 { kind = regex verdict = miss pattern = '(?=)nowhere' }");
	compiled = compile(chain);
	assert_int_equal(set_chain(kernel, compiled, false, LEASE, &no_gate, &error), 0);
	fill_hot();
	ended = false;
	assert_int_equal(pthread_create(&writer, NULL, remember_all, kernel), 0);
	for (long i = 0; i < queries || (replies == 0 && i < 100 * queries); i++) {
		const struct hot *asked = &hot[i % URLS];
		uint32_t action;

		if (program_run_split(&program, &asked->frame, 0, 0, &out, &action))
			break;
		if (action != XDP_TX)
			continue;
		replies++;
		wrong += !is_right(&out, asked);
	}
	ended = true;
	pthread_join(writer, NULL);
	compiled_free(compiled);
	chain_unref(chain);
	kernel_close(kernel);
	if (wanted)
		print_message("# %ld queries, %ld replies, %ld of them wrong\n", queries, replies,
			      wrong);
	assert_true(replies > 0);
	assert_int_equal(wrong, 0);
}

FIXTURE(open_small)
{
	program_open(&program, VERDICTS);
	return 0;
}

TEST_ALL(open_small, close_program)
