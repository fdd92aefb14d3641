// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/program.h"

#include <net/if.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "chain/image.h"
#include "xdp/skeleton.h"

static int program_says_nothing(enum libbpf_print_level level, const char *format,
				va_list arguments)
{
	return 0;
}

/* Loads the program for generic mode. Returns 0 or -errno. */
static int program_open_generic(struct program *program)
{
	struct bpf_map *map;

	program->generic = xdp_icp__open_opts(skeleton_options());
	if (!program->generic)
		return -errno;
	program->generic->rodata->generic_mode = true;
	bpf_object__for_each_map (map, program->skeleton->obj) {
		const char *name = bpf_map__name(map);
		int err;

		if (map == program->skeleton->maps.rodata)
			continue;
		err = bpf_map__reuse_fd(bpf_object__find_map_by_name(program->generic->obj, name),
					bpf_map__fd(map));
		if (err)
			return err;
	}
	return xdp_icp__load(program->generic);
}

void program_open(struct program *program, unsigned int verdicts)
{
	cpu_set_t one;
	int err;

	*program = (struct program){ .reason = "", .fd = -1, .ifindex = if_nametoindex("lo") };
	libbpf_set_print(program_says_nothing);
	/* One scratch area for all frames, so that each finds what the last left behind. */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	program->cpus = libbpf_num_possible_cpus();
	program->skeleton = xdp_icp__open_opts(skeleton_options());
	if (!program->skeleton)
		return;
	bpf_map__set_max_entries(program->skeleton->maps.rules, PROGRAM_RULES);
	bpf_map__set_max_entries(program->skeleton->maps.prefixes,
				 2 * chain_image_buckets(PROGRAM_PREFIXES));
	bpf_map__set_max_entries(program->skeleton->maps.texts, 2 * PROGRAM_PREFIXES);
	bpf_map__set_max_entries(program->skeleton->maps.recent,
				 RECENT_SLOTS(RECENT_HOMES(PROGRAM_RECENTS)));
	bpf_map__set_max_entries(program->skeleton->maps.sources, PROGRAM_PREFIXES);
	bpf_map__set_max_entries(program->skeleton->maps.verdicts, verdicts);
	err = xdp_icp__load(program->skeleton);
	if (!err)
		err = program_open_generic(program);
	if (!err)
		program->fd = bpf_program__fd(program->skeleton->progs.xdp_icp);
	else if (err == -EPERM)
		program->reason = "no rights to load a BPF program";
	else if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_xdp_load_bytes, NULL) != 1)
		program->reason = "no bpf_xdp_load_bytes, Linux is older than 5.18";
	/* All else is a failure: a kernel that could take the program refuses it. */
}

void program_close(struct program *program)
{
	xdp_icp__destroy(program->generic);
	xdp_icp__destroy(program->skeleton);
}

struct program program_in_generic_mode(const struct program *program)
{
	struct program generic = *program;

	generic.fd = bpf_program__fd(program->generic->progs.xdp_icp);
	return generic;
}

void program_needed(const struct program *program)
{
	if (program->reason[0]) {
		print_message("# %s\n", program->reason);
		skip();
	}
	if (program->fd < 0)
		fail_msg("the kernel refuses the XDP program");
}

void program_empty_map(struct bpf_map *map)
{
	char key[512];

	while (bpf_map_get_next_key(bpf_map__fd(map), NULL, key) == 0)
		assert_int_equal(bpf_map_delete_elem(bpf_map__fd(map), key), 0);
}

static void program_change_control(struct program *program, const uint32_t *chain)
{
	int fd = bpf_map__fd(program->skeleton->maps.control);
	struct map_control control;
	uint32_t key = 0;

	assert_int_equal(bpf_map_lookup_elem(fd, &key, &control), 0);
	if (chain)
		control = (struct map_control){ *chain, .destinations = control.destinations };
	else
		control.destinations++;
	assert_int_equal(bpf_map_update_elem(fd, &key, &control, BPF_ANY), 0);
}

void program_control(struct program *program, uint32_t chain)
{
	program_change_control(program, &chain);
}

/* The map of destinations is another one. */
static void tell_destinations(struct program *program)
{
	program_change_control(program, NULL);
}

void program_clear(struct program *program)
{
	struct map_chain closed = { .first_gate = RANK_NONE };

	program_empty_map(program->skeleton->maps.rules);
	program_empty_map(program->skeleton->maps.destinations);
	tell_destinations(program);
	for (uint32_t i = 0; i < 2; i++)
		bpf_map_update_elem(bpf_map__fd(program->skeleton->maps.chain), &i, &closed, 0);
	program_control(program, 0);
}

void program_put_rule_bits(struct program *program, const char *text, size_t bits,
			   unsigned int verdict)
{
	struct rule_key key = { .prefixlen = bits };
	struct rule rule = { .verdict = verdict };

	memcpy(key.text, text, (bits + 7) / 8);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(program->skeleton->maps.rules), &key,
					     &rule, BPF_ANY),
			 0);
}

void program_put_rule(struct program *program, const char *text, unsigned int verdict)
{
	program_put_rule_bits(program, text, 8 * strlen(text), verdict);
}

void program_put_destination(struct program *program, const uint8_t address[16], uint16_t port,
			     const uint8_t mac[6])
{
	struct destination_key key = { .ifindex = program->ifindex, .port = host_to_be16(port) };
	struct destination value = { .kind = port ? DESTINATION_HOST : DESTINATION_BROADCAST };

	memcpy(key.address, address, 16);
	if (mac)
		memcpy(value.mac, mac, 6);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(program->skeleton->maps.destinations),
					     &key, &value, BPF_ANY),
			 0);
	tell_destinations(program);
}

/* Map one of the arrays; it stays mapped. */
static void *program_array(struct bpf_map *map)
{
	size_t size = (size_t)bpf_map__max_entries(map) * bpf_map__value_size(map);
	void *array = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	assert_ptr_not_equal(array, MAP_FAILED);
	return array;
}

struct recent_slot *program_recents(struct program *program)
{
	if (!program->recents)
		program->recents = program_array(program->skeleton->maps.recent);
	return program->recents;
}

static struct prefix_bucket *buckets_of(struct program *program)
{
	if (!program->buckets)
		program->buckets = program_array(program->skeleton->maps.prefixes);
	return program->buckets + chain_image_buckets(PROGRAM_PREFIXES);
}

struct prefix_line *program_lines(struct program *program)
{
	if (!program->lines)
		program->lines = program_array(program->skeleton->maps.texts);
	return program->lines + PROGRAM_PREFIXES;
}

static void program_put_answers(struct program *program, const struct map_chain *chain,
				const struct prefix_answer *answers, size_t answer_count)
{
	for (uint32_t i = 0; i < answer_count; i++) {
		uint32_t index = chain->first_answer + 1 + i;

		assert_int_equal(bpf_map_update_elem(bpf_map__fd(program->skeleton->maps.answers),
						     &index, &answers[i], BPF_ANY),
				 0);
	}
}

void program_put_prefixes(struct program *program, struct map_chain *chain,
			  const struct prefix_entry *entries, size_t count,
			  const struct prefix_answer *answers, size_t answer_count)
{
	assert_true(prefix_tree_lines(entries, count) <= PROGRAM_PREFIXES);
	assert_int_equal(prefix_tree_build(&chain->trees[URL_FORWARD], entries, count,
					   buckets_of(program), program_lines(program)),
			 0);
	chain->trees[URL_FORWARD].first_bucket = chain_image_buckets(PROGRAM_PREFIXES);
	chain->trees[URL_FORWARD].first_line = PROGRAM_PREFIXES;
	chain->first_answer = ANSWERS_MAX;
	program_put_answers(program, chain, answers, answer_count);
}

void program_put_chain(struct program *program, const struct map_chain *chain)
{
	bpf_map_update_elem(bpf_map__fd(program->skeleton->maps.chain), &(uint32_t){ 1 }, chain, 0);
	program_control(program, 1);
}

void program_set_chain(struct program *program, const struct compiled *compiled,
		       bool answer_request_zero)
{
	const struct image_place place = {
		.buckets = buckets_of(program),
		.lines = program_lines(program),
		.first_bucket = chain_image_buckets(PROGRAM_PREFIXES),
		.first_line = PROGRAM_PREFIXES,
		.first_answer = ANSWERS_MAX,
	};
	struct map_chain chain;

	assert_true(compiled->lines <= PROGRAM_PREFIXES);
	assert_int_equal(chain_image_write(&chain, compiled, &place), 0);
	chain.generation = PROGRAM_GENERATION;
	chain.memory = MEMORY_NONE; /* no daemon holds a lease */
	chain.answer_request_zero = answer_request_zero;
	program_put_answers(program, &chain, compiled->answers, compiled->answer_count);
	for (uint32_t i = 0; i < compiled->group_count; i++) {
		uint32_t index = AUTOMATON_GROUPS + i;

		assert_int_equal(bpf_map_update_elem(bpf_map__fd(program->skeleton->maps.automata),
						     &index, &compiled->groups[i], BPF_ANY),
				 0);
	}
	for (uint32_t i = 0; i < PARTITION_LINES && compiled->partition.lines; i++) {
		uint32_t index = PARTITION_LINES + i;

		assert_int_equal(
			bpf_map_update_elem(bpf_map__fd(program->skeleton->maps.partitions), &index,
					    &compiled->partition.lines[i], BPF_ANY),
			0);
	}
	program_put_chain(program, &chain);
}

void program_counters(const struct program *program, uint64_t counters[ICP_COUNTER_MAX])
{
	uint64_t values[program->cpus];

	for (uint32_t i = 0; i < ICP_COUNTER_MAX; i++) {
		assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(program->skeleton->maps.counters),
						     &i, values),
				 0);
		counters[i] = 0;
		for (int cpu = 0; cpu < program->cpus; cpu++)
			counters[i] += values[cpu];
	}
}

int program_run_split(const struct program *program, const struct bytes *in, uint32_t metadata,
		      uint32_t linear, struct bytes *out, uint32_t *action)
{
	struct xdp_md context = { .data = metadata, .data_end = metadata + linear };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in->at, .data_size_in = in->size,
		    .data_out = out->at, .data_size_out = sizeof(out->at),
		    .ctx_in = linear ? &context : NULL,
		    .ctx_size_in = linear ? sizeof(context) : 0);
	int err = bpf_prog_test_run_opts(program->fd, &options);

	*action = options.retval;
	out->size = options.data_size_out;
	return err;
}

void program_run(const struct program *program, const struct bytes *in, struct bytes *out,
		 uint32_t *action)
{
	int err = program_run_split(program, in, 0, 0, out, action);

	if (err)
		fail_msg("BPF_PROG_TEST_RUN with %zu bytes: %s", in->size, strerror(-err));
}

static const char *counter_name(unsigned int counter)
{
	static const char *const names[] = {
#define X(identifier, group, name, help) #identifier,
		ICP_COUNTERS(X)
#undef X
	};

	return counter < ICP_COUNTER_MAX ? names[counter] : "?";
}

void assert_counted(const char *what, const uint64_t before[ICP_COUNTER_MAX],
		    const uint64_t after[ICP_COUNTER_MAX], enum icp_counter expected)
{
	for (unsigned int i = 0; i < ICP_COUNTER_MAX; i++)
		if (after[i] - before[i] != (i == expected))
			fail_msg("%s: the counter %s rose by %d where %s should rise by one", what,
				 counter_name(i), (int)(after[i] - before[i]),
				 counter_name(expected));
}

void assert_bytes(const char *what, const struct bytes *bytes, const struct bytes *expected)
{
	if (bytes->size != expected->size)
		fail_msg("%s: %zu bytes, expected %zu", what, bytes->size, expected->size);
	for (size_t i = 0; i < bytes->size; i++)
		if (bytes->at[i] != expected->at[i])
			fail_msg("%s: byte %zu of %zu is %02x, expected %02x", what, i, bytes->size,
				 bytes->at[i], expected->at[i]);
}

void assert_outcome(const struct program *program, const char *what, const struct bytes *frame,
		    enum icp_counter counter, const struct bytes *answer)
{
	static struct bytes out;
	uint64_t before[ICP_COUNTER_MAX], after[ICP_COUNTER_MAX];
	uint32_t action;

	program_counters(program, before);
	program_run(program, frame, &out, &action);
	program_counters(program, after);
	assert_counted(what, before, after, counter);
	if (action != (counter == ICP_COUNT_ANSWERED ? XDP_TX : XDP_PASS))
		fail_msg("%s: XDP action %u", what, action);
	assert_bytes(what, &out, counter == ICP_COUNT_ANSWERED ? answer : frame);
}

struct kernel *program_kernel(const struct program *program)
{
	struct map_abi version = { ICP_MAP_ABI };
	struct pin_dir *dir = NULL;
	struct kernel *kernel = NULL;
	struct error error = { "a pin cannot be made" };
	char directory[64];
	int err = 0;

	snprintf(directory, sizeof(directory), "/sys/fs/bpf/xdp-icp-test-%d", getpid());
	if (mkdir(directory, 0700)) {
		print_message("# nothing can be pinned below /sys/fs/bpf: %s\n", strerror(errno));
		skip();
	}
	bpf_map_update_elem(bpf_map__fd(program->skeleton->maps.abi), &(uint32_t){ 0 }, &version,
			    0);
	for (int pin = 0; pin < PIN_MAX && !err; pin++)
		err = bpf_map__pin(
			bpf_object__find_map_by_name(program->skeleton->obj, pin_names[pin]),
			formatted("%s/%s", directory, pin_names[pin]));
	if (!err)
		dir = pin_dir_open(directory, PIN_DIR_ANY_USER, &error);
	if (dir)
		kernel = kernel_open(dir, &error);
	pin_dir_close(dir);
	for (int pin = 0; pin < PIN_MAX; pin++)
		bpf_map__unpin(bpf_object__find_map_by_name(program->skeleton->obj, pin_names[pin]),
			       formatted("%s/%s", directory, pin_names[pin]));
	rmdir(directory);
	if (!kernel)
		fail_msg("%s", error.text);
	return kernel;
}
