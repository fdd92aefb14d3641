// SPDX-License-Identifier: GPL-2.0-or-later
/* What the XDP program still answers when the daemon that watches is not heard of. */
#include "program_support.h"

TEST(without_a_watch)
{
	static const struct in6_addr somebody = { 0 };
	struct chain_decision decision;
	struct compiled *compiled;
	struct kernel *kernel;
	struct chain *chain;
	struct error error;

	prepare("default = err", false);
	kernel = program_kernel(&program);
	chain = make_chain("policy 1 { kind = prefix verdict = hit url = before }\n"
			   "policy 2 { kind = flag verdict = denied path = '/nowhere/at/all' }\n"
			   "policy 3 { kind = prefix verdict = hit url = behind }\n"
			   "policy 4 { kind = substring verdict = hit text = word }\n");
	assert_int_equal(chain_compile(chain, &compiled, &error), 0);
	assert_int_equal(kernel_set_chain(kernel, compiled, false, 60000, NULL, &error), 0);

	/* Nobody has watched yet over this chain. */
	check_url("before", 2);
	check_url_passes("behind", ICP_COUNT_PASSED_UNWATCHED);
	kernel_watch(kernel, chain_gate(chain));
	check_url("behind", 2);
	check_url_passes("words", ICP_COUNT_PASSED_HORIZON);
	decision = decide_url(chain, "words");
	kernel_remember(kernel, "words", 5, &somebody,
			candidate_of(decision.rank, decision.verdict.opcode, ICP_NO_COST), 0);
	check_url("words", 2);

	/* A lease that has run out the moment it is given. */
	assert_int_equal(kernel_set_chain(kernel, compiled, false, 0, NULL, &error), 0);
	kernel_watch(kernel, chain_gate(chain));
	usleep(50000);
	check_url("before", 2);
	check_url_passes("behind", ICP_COUNT_PASSED_UNWATCHED);
	compiled_free(compiled);
	chain_unref(chain);
	kernel_close(kernel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_watch),
	};

	return cmocka_run_group_tests(tests, open_program, close_program);
}
