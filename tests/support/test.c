// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/test.h"

static struct {
	struct CMUnitTest *tests;
	size_t count;
	CMFixtureFunction setup, teardown, each_setup, each_teardown;
} group;

void test_add(const char *name, CMUnitTestFunction test, void *argument)
{
	group.tests = reallocarray(group.tests, group.count + 1, sizeof(*group.tests));
	if (!group.tests)
		abort();
	group.tests[group.count++] =
		(struct CMUnitTest){ name, test, group.each_setup, group.each_teardown, argument };
}

void test_each(CMFixtureFunction setup, CMFixtureFunction teardown)
{
	group.each_setup = setup;
	group.each_teardown = teardown;
}

void test_all(CMFixtureFunction setup, CMFixtureFunction teardown)
{
	group.setup = setup;
	group.teardown = teardown;
}

int test_run(void)
{
	return _cmocka_run_group_tests("tests", group.tests, group.count, group.setup,
				       group.teardown);
}

const char *formatted(const char *format, ...)
{
	static char texts[4][8192];
	static unsigned int next;
	char *text = texts[next++ % 4];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(text, sizeof(texts[0]), format, args);
	va_end(args);
	assert_in_range(length, 0, sizeof(texts[0]) - 1);
	return text;
}

uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

uint32_t random_below(uint64_t *state, uint32_t below)
{
	return (random_next(state) >> 20) % below;
}

enum icp_opcode random_verdict(uint64_t *state)
{
	static const enum icp_opcode verdicts[] = { ICP_OP_HIT, ICP_OP_MISS, ICP_OP_ERR,
						    ICP_OP_MISS_NOFETCH, ICP_OP_DENIED };

	return verdicts[random_below(state, 5)];
}
