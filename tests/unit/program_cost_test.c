// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a query costs in the program: instructions, as the processor counts them. They are no time,
 * and the same on a busy machine.
 */
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "support/program_check.h"

TEST_ALL(open_program, close_program)

/*
 * What each query may cost, a fifth more than with clang 14 on Linux 6.18: the program's own
 * instructions on x86-64, and those of the helpers that it calls.
 */
static const struct {
	const char *name;
	size_t url; /* bytes */
	unsigned int most;
	enum icp_counter outcome;
} queries[] = {
	{ "shorter than any prefix", 8, 1150, ICP_COUNT_ANSWERED },
	{ "40 bytes", 40, 1550, ICP_COUNT_ANSWERED },
	{ "100 bytes", 100, 1850, ICP_COUNT_ANSWERED },
	{ "250 bytes", 250, 2750, ICP_COUNT_ANSWERED },
	{ "behind the horizon", 40, 1000, ICP_COUNT_PASSED_HORIZON },
};

#define BATCHES 40
#define BATCH 100

static int open_counter(void)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attributes),
		.config = PERF_COUNT_HW_INSTRUCTIONS,
		.exclude_user = 1,
		.exclude_hv = 1,
	};

	return syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

/* Instructions of the kernel for one run, the least of many batches: interrupts come on top. */
static unsigned int instructions(int counter, const struct bytes *frame)
{
	static struct bytes out;
	uint64_t least = UINT64_MAX;
	uint32_t action;

	for (int batch = 0; batch < BATCHES; batch++) {
		uint64_t before, after;

		assert_int_equal(read(counter, &before, sizeof(before)), sizeof(before));
		for (int i = 0; i < BATCH; i++)
			program_run(&program, frame, &out, &action);
		assert_int_equal(read(counter, &after, sizeof(after)), sizeof(after));
		if (after - before < least)
			least = after - before;
	}
	return least / BATCH;
}

/* Of the program alone: a run itself costs what it costs with a frame that is of no interest. */
static unsigned int query_cost(int counter, const struct envelope *envelope,
			       const struct datagram *datagram)
{
	static struct bytes message, frame, other;

	check_in(envelope, datagram);
	message_build(&message, datagram);
	frame_build(&frame, envelope, &message);
	other = frame;
	other.at[12] = 0xff;
	return instructions(counter, &frame) - instructions(counter, &other);
}

/* A prefix for each letter, and a horizon before them or not. No rules, as mostly. */
static void prepare_chain(bool has_horizon)
{
	char config[4096];
	size_t length = 0;

	length += sprintf(config, "default = err\npolicy 1 { kind = prefix verdict = hit urls = {");
	for (char letter = 'a'; letter <= 'z'; letter++)
		length += sprintf(config + length, "%s\"http://e.org/%c\"",
				  letter == 'a' ? "" : ",", letter);
	length += sprintf(config + length, "} }\n");
	if (has_horizon)
		sprintf(config + length,
			"policy 0 { kind = regex verdict = denied pattern = '(?=)x' }");
	prepare(config, false);
	program_empty_map(program.skeleton->maps.rules);
}

TEST(the_budget_of_a_query)
{
	struct envelope envelope = envelope_v4();
	bool too_many = false;
	int counter;

	program_needed(&program);
	counter = open_counter();
	if (counter < 0) {
		print_message(
			"# skipped: the processor's instructions cannot be counted here: %s\n",
			strerror(errno));
		skip();
	}
	for (size_t i = 0; i < sizeof(queries) / sizeof(*queries); i++) {
		char url[256] = "http://e.org/q";
		struct datagram datagram = {
			.name = queries[i].name,
			.url = url,
			.url_size = queries[i].url + 1,
			.kernel = queries[i].outcome,
			.verdict = queries[i].url < 14 ? 4 : 2,
		};
		unsigned int cost, padded;

		prepare_chain(queries[i].outcome == ICP_COUNT_PASSED_HORIZON);
		memset(url + strlen(url), 'y', sizeof(url) - 1 - strlen(url));
		url[queries[i].url] = '\0';
		envelope.padding = 0;
		cost = query_cost(counter, &envelope, &datagram);
		envelope.padding = 8;
		padded = query_cost(counter, &envelope, &datagram);
		print_message("# %s: %u instructions, with padding %u\n", queries[i].name, cost,
			      padded);
		too_many |= cost > queries[i].most;
		/* Mostly nothing lies behind the message, and then no helper is called. */
		too_many |= cost + 20 > padded;
	}
	close(counter);
	assert_false(too_many);
}
