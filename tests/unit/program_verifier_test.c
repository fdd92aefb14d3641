// SPDX-License-Identifier: GPL-2.0-or-later
/* What the verifier makes of the XDP program. */
#include "support/program_check.h"
#include "xdp/skeleton.h"

TEST_ALL(open_program, close_program)

/*
 * What the verifier may look at. It gives up at a million; it takes more of them for the same text
 * with another compiler or kernel, and other programs share the time of a load.
 */
#define INSTRUCTIONS_MAX 200000

static void check_budget(bool generic_mode)
{
	static char log[16384];
	const char *processed, *stack;
	struct xdp_icp *skeleton;
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);
	unsigned int instructions;

	program_needed(&program);
	skeleton = xdp_icp__open_opts(skeleton_options());
	assert_non_null(skeleton);
	skeleton->rodata->generic_mode = generic_mode;
	bpf_program__set_log_level(skeleton->progs.xdp_icp, 4); /* statistics alone */
	bpf_program__set_log_buf(skeleton->progs.xdp_icp, log, sizeof(log));
	assert_int_equal(xdp_icp__load(skeleton), 0);
	processed = strstr(log, "processed ");
	assert_non_null(processed);
	assert_int_equal(sscanf(processed, "processed %u insns", &instructions), 1);
	assert_int_equal(
		bpf_obj_get_info_by_fd(bpf_program__fd(skeleton->progs.xdp_icp), &info, &size), 0);
	stack = strstr(log, "stack depth ");
	print_message("# %s: the verifier looked at %u instructions; stack depth %d; %u bytes of "
		      "BPF, %u of machine code\n",
		      generic_mode ? "generic" : "native", instructions,
		      stack ? atoi(stack + strlen("stack depth ")) : -1, info.xlated_prog_len,
		      info.jited_prog_len);
	xdp_icp__destroy(skeleton);
	assert_true(instructions <= INSTRUCTIONS_MAX);
}

TEST(the_verifiers_budget)
{
	check_budget(false);
	check_budget(true);
}
