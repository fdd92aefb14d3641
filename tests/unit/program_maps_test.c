// SPDX-License-Identifier: GPL-2.0-or-later
/* The maps as the daemon writes them, and what the XDP program makes of each. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/program_check.h"

TEST_ALL(open_program, close_program)

static struct chain *chain_of(size_t prefixes)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	struct chain *chain;

	fprintf(stream, "default = denied policy 1 { kind = prefix verdict = hit urls = { 'u0000'");
	for (size_t i = 1; i < prefixes; i++)
		fprintf(stream, ", 'u%04zu'", i);
	fprintf(stream, " } }");
	fclose(stream);
	chain = make_chain(text);
	free(text);
	return chain;
}

TEST(maps_as_the_daemon_writes_them)
{
	struct kernel_destination list[2] = {
		{ .key = { .ifindex = program.ifindex, .port = host_to_be16(3130) } },
		{ .key = { .ifindex = program.ifindex, .port = host_to_be16(3130) } },
	};
	struct compiled *small_compiled, *large_compiled;
	struct chain *small, *large;
	struct datagram zero = { "number 0", .request_zero = true, URL("u0000"), .verdict = 2,
				 .kernel = ICP_COUNT_ANSWERED };
	struct kernel *kernel;
	struct error error;

	prepare("default = miss", false);
	program_empty_map(program.skeleton->maps.rules);
	kernel = program_kernel(&program);
	small = chain_of(3);
	small_compiled = compile(small);
	large = chain_of(PROGRAM_PREFIXES + 1);
	large_compiled = compile(large);
	assert_int_equal(kernel_sizes(kernel).prefixes, PROGRAM_PREFIXES);
	assert_int_equal(kernel_sizes(kernel).rules, PROGRAM_RULES);

	/* A list replaces what was there. */
	set_mapped(list[0].key.address, our_v4);
	memcpy(list[1].key.address, our_v6, 16);
	memcpy(list[0].value.mac, our_mac, 6);
	memcpy(list[1].value.mac, our_mac, 6);
	assert_int_equal(kernel_set_destinations(kernel, list, 0, &error), 0);
	check_url_passes("x", ICP_COUNT_PASSED_FOREIGN);
	assert_int_equal(kernel_set_destinations(kernel, list, 2, &error), 0);
	check_url("x", 3);
	assert_int_equal(kernel_set_destinations(kernel, list, 0, &error), 0);
	check_url_passes("x", ICP_COUNT_PASSED_FOREIGN);
	list[0].value.mac[5] ^= 1;
	list[1].value.mac[5] ^= 1;
	assert_int_equal(kernel_set_destinations(kernel, list, 2, &error), 0);
	check_url_passes("x", ICP_COUNT_PASSED_MAC);
	list[0].value.mac[5] ^= 1;
	list[1].value.mac[5] ^= 1;
	assert_int_equal(kernel_set_destinations(kernel, list, 2, &error), 0);
	check_url("x", 3);

	assert_int_equal(set_chain(kernel, small_compiled, false, LEASE, NULL, &error), 0);
	check_url("x", 22);
	check_url("u0000", 2);
	/* Where the new does not fit, the former stays. */
	assert_int_equal(set_chain(kernel, large_compiled, true, LEASE, NULL, &error), -1);
	check_url("u0000", 2);
	check_url("u0002", 2);
	check_url("u0003", 22);
	zero.kernel = ICP_COUNT_PASSED_MALFORMED;
	check(&zero);
	assert_int_equal(set_chain(kernel, small_compiled, true, LEASE, NULL, &error), 0);
	zero.kernel = ICP_COUNT_ANSWERED;
	check(&zero);

	program_put_rule(&program, "u0000", ICP_OP_ERR);
	assert_int_equal(kernel_disable_chain(kernel, &error), 0);
	check_url("u0000", 4);
	check_url_passes("u0001", ICP_COUNT_PASSED_HORIZON);
	check_url_passes("x", ICP_COUNT_PASSED_HORIZON);
	kernel_close(kernel);
	compiled_free(small_compiled);
	compiled_free(large_compiled);
	chain_free(small);
	chain_free(large);
}

/* An administrator may set any address: `ip address add 192.0.2.1/24 broadcast 192.0.2.0`. */
TEST(broadcast_address_of_any_form)
{
	static const uint8_t odd_v4[4] = { 192, 0, 2, 0 };
	struct kernel_destination list[2] = {
		{ .key = { .ifindex = program.ifindex, .port = host_to_be16(3130) } },
		{ .key = { .ifindex = program.ifindex }, .value.kind = DESTINATION_BROADCAST },
	};
	struct datagram datagram = { "from 192.0.2.0", URL("x"), .verdict = ICP_OP_MISS };
	struct envelope envelope = envelope_v4();
	struct kernel *kernel;
	struct error error;

	prepare("default = miss", false);
	kernel = program_kernel(&program);
	set_mapped(list[0].key.address, our_v4);
	memcpy(list[0].value.mac, our_mac, 6);
	set_mapped(list[1].key.address, odd_v4);
	memcpy(envelope.from, odd_v4, 4);

	assert_int_equal(kernel_set_destinations(kernel, list, 1, &error), 0);
	datagram.kernel = ICP_COUNT_ANSWERED;
	check_in(&envelope, &datagram);
	assert_int_equal(kernel_set_destinations(kernel, list, 2, &error), 0);
	datagram.kernel = ICP_COUNT_PASSED_SOURCE;
	check_in(&envelope, &datagram);
	kernel_close(kernel);
}

static __u32 rank_of(const struct kernel *kernel, const char *url)
{
	static const struct in6_addr querier = { 0 };
	struct kernel_reason reason;
	struct decision decision;
	struct error error;

	assert_int_equal(
		kernel_explain(kernel, url, strlen(url), &querier, &decision, &reason, &error), 0);
	return decision.rank;
}

/* `icpctl check` and the program are one text; the rank says who decided. */
TEST(decisions_have_ranks)
{
	struct compiled *compiled;
	struct kernel *kernel;
	struct chain *chain;
	struct error error;

	prepare("default = miss", false);
	kernel = program_kernel(&program);
	chain = make_chain("policy 1 { kind = prefix verdict = hit url = u }\n"
			   "policy 2 { kind = prefix verdict = denied url = v }\n");
	compiled = compile(chain);
	assert_int_equal(set_chain(kernel, compiled, false, LEASE, NULL, &error), 0);
	program_put_rule(&program, "uu", ICP_OP_ERR);
	assert_int_equal(rank_of(kernel, "u"), 0);
	assert_int_equal(rank_of(kernel, "v"), 1);
	assert_int_equal(rank_of(kernel, "w"), 2);
	assert_int_equal(rank_of(kernel, "uu"), RANK_RULE);
	assert_int_equal(kernel_drain(kernel, ICP_OP_MISS_NOFETCH, &error), 0);
	assert_int_equal(rank_of(kernel, "u"), RANK_DRAIN);
	assert_int_equal(kernel_drain(kernel, 0, &error), 0);
	kernel_close(kernel);
	compiled_free(compiled);
	chain_free(chain);
}

/*
 * A chain that was prepared and not activated leaves addresses in the map; they must not become those of
 * the next one, even if they cannot be removed.
 */
TEST(generations_of_failed_changes)
{
	struct compiled *compiled;
	struct kernel *kernel;
	struct kernel_chain first, second;
	struct chain *chain;
	struct error error;
	int other;

	prepare("default = miss", false);
	kernel = program_kernel(&program);
	chain = make_chain("policy 1 { kind = source verdict = denied from = 192.0.2.0/24 }");
	compiled = compile(chain);
	assert_int_equal(kernel_prepare_chain(kernel, compiled, false, LEASE, &first, &error), 0);
	assert_int_equal(kernel_prepare_chain(kernel, compiled, false, LEASE, &second, &error), 0);
	assert_true(second.chain.generation > first.chain.generation);
	assert_int_equal(kernel_switch_chain(kernel, &second, NULL, &error), 0);
	assert_int_equal(kernel_generation(kernel), second.chain.generation);
	compiled_free(compiled);
	chain_free(chain);

	/* What cannot be removed is a failure, also where the chain has no addresses. */
	chain = make_chain("policy 1 { kind = prefix verdict = hit url = u }");
	compiled = compile(chain);
	other = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(dup2(other, kernel_pin(kernel, PIN_SOURCES)) >= 0);
	close(other);
	assert_int_equal(kernel_prepare_chain(kernel, compiled, false, LEASE, &first, &error), -1);
	kernel_close(kernel);
	compiled_free(compiled);
	chain_free(chain);
}

/* Between its creation and its change of owner. */
TEST(pins_that_are_replaced)
{
	int chain = bpf_map__fd(program.skeleton->maps.chain);
	int control = bpf_map__fd(program.skeleton->maps.control);
	struct pin_dir *dir;
	struct stat status;
	struct error error;
	char path[64];

	snprintf(path, sizeof(path), "/sys/fs/bpf/xdp-icp-test-%d", getpid());
	dir = pin_dir_create(path, 0, &error);
	if (!dir) {
		print_message("# nothing can be pinned below /sys/fs/bpf: %s\n", error.text);
		skip();
	}
	assert_int_equal(pin_create(dir, PIN_CHAIN, control), 0);
	assert_int_equal(pin_chown(dir, PIN_CHAIN, chain, 12345, 12345), -ELOOP);
	assert_int_equal(fstatat(dir->fd, pin_names[PIN_CHAIN], &status, 0), 0);
	assert_int_equal(status.st_uid, 0);
	assert_int_equal(pin_chown(dir, PIN_CHAIN, control, 12345, 12345), 0);
	pins_remove(dir);
	pin_dir_remove(dir);
	pin_dir_close(dir);
}
