// SPDX-License-Identifier: GPL-2.0-or-later
/* What the XDP program shows to icpctl trace. */
#include "support/program_check.h"

TEST_ALL(open_program, close_program)

struct shown {
	struct trace_record last;
	unsigned int count;
};

static int show(void *context, void *record, size_t size)
{
	struct shown *shown = context;

	assert_true(size >= sizeof(shown->last));
	shown->last = *(struct trace_record *)record;
	shown->count++;
	return 0;
}

static void trace_until(uint64_t until)
{
	int fd = bpf_map__fd(program.skeleton->maps.control);
	struct map_control control;
	uint32_t key = 0;

	assert_int_equal(bpf_map_lookup_elem(fd, &key, &control), 0);
	control.trace_until = until;
	assert_int_equal(bpf_map_update_elem(fd, &key, &control, 0), 0);
}

TEST(traces)
{
	static struct bytes message, frame, out;
	static const struct datagram answered = { URL("http://hit.example/x"), .verdict = 2 };
	uint64_t before[ICP_COUNTER_MAX], after[ICP_COUNTER_MAX];
	struct shown shown = { .count = 0 };
	struct ring_buffer *ring;
	uint32_t action;

	prepare(TABLE_CHAIN, false);
	ring = ring_buffer__new(bpf_map__fd(program.skeleton->maps.trace), show, &shown, NULL);
	assert_non_null(ring);
	for (int v6 = 0; v6 < 2; v6++) {
		struct envelope envelope = envelope_of(v6);
		const struct trace_record *record = &shown.last;

		message_build(&message, &answered);
		frame_build(&frame, &envelope, &message);

		/* Nobody traces, or who did has died. */
		for (uint64_t until = 0; until < 2; until++) {
			trace_until(until);
			program_run(&program, &frame, &out, &action);
			assert_int_equal(ring_buffer__consume(ring), 0);
		}
		trace_until(UINT64_MAX);
		program_run(&program, &frame, &out, &action);
		assert_int_equal(action, XDP_TX);
		assert_int_equal(ring_buffer__consume(ring), 1);
		assert_int_equal(record->counter, ICP_COUNT_ANSWERED);
		assert_int_equal(record->verdict, ICP_OP_HIT);
		assert_memory_equal(record->source + (v6 ? 0 : 12), envelope.from, v6 ? 16 : 4);
		assert_memory_equal(record->destination + (v6 ? 0 : 12), envelope.to, v6 ? 16 : 4);
		assert_int_equal(be16toh(record->source_port), envelope.from_port);
		assert_int_equal(be16toh(record->destination_port), envelope.to_port);
		assert_memory_equal(&record->request_number, message.at + 4, 4);
		assert_int_equal(record->url_length, strlen("http://hit.example/x"));
		assert_memory_equal(record->url, "http://hit.example/x", record->url_length + 1);

		/* What was not read of a message is not shown. */
		envelope.checksum = CHECKSUM_WRONG;
		frame_build(&frame, &envelope, &message);
		program_run(&program, &frame, &out, &action);
		assert_int_equal(action, XDP_PASS);
		assert_int_equal(ring_buffer__consume(ring), 1);
		assert_int_equal(record->counter, ICP_COUNT_PASSED_CHECKSUM);
		assert_int_equal(record->verdict, ICP_OP_INVALID);
		assert_int_equal(record->url_length, 0);
		assert_int_equal(record->request_number, 0);
	}

	/* So many and no more, and the others are counted. */
	shown.count = 0;
	program_counters(&program, before);
	for (int i = 0; i < 5000; i++)
		program_run(&program, &frame, &out, &action);
	assert_true(ring_buffer__consume(ring) >= 0);
	program_counters(&program, after);
	assert_true(shown.count > 0);
	assert_int_equal(
		shown.count + after[ICP_COUNT_FAILED_TRACE] - before[ICP_COUNT_FAILED_TRACE], 5000);
	assert_true(after[ICP_COUNT_FAILED_TRACE] > before[ICP_COUNT_FAILED_TRACE]);
	trace_until(0);
	ring_buffer__free(ring);
}
