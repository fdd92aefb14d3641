// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/test.h"
#include "icp/opcode.h"

static enum icp_opcode verdict(const char *name)
{
	return verdict_from_name(name, strlen(name));
}

TEST(both_forms_in_any_case)
{
	assert_int_equal(verdict("hit"), ICP_OP_HIT);
	assert_int_equal(verdict("HIT"), ICP_OP_HIT);
	assert_int_equal(verdict("ICP_OP_HIT"), ICP_OP_HIT);
	assert_int_equal(verdict("icp_op_miss_nofetch"), ICP_OP_MISS_NOFETCH);
	assert_int_equal(verdict("Miss_NoFetch"), ICP_OP_MISS_NOFETCH);
	assert_int_equal(verdict("miss"), ICP_OP_MISS);
	assert_int_equal(verdict("denied"), ICP_OP_DENIED);
	assert_int_equal(verdict("err"), ICP_OP_ERR);
}

TEST(what_is_no_verdict)
{
	static const char *const names[] = {
		"",	"query", "secho",   "decho",   "hit_obj",	   "hit ", " hit", "hi",
		"hitt", "none",	 "ICP_OP_", "ICP_HIT", "ICP_OP_ICP_OP_HIT"
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(verdict(names[i]), ICP_OP_INVALID);
	assert_int_equal(verdict_from_name("hit\0", 4), ICP_OP_INVALID);
	assert_int_equal(verdict_from_name("hit...", 3), ICP_OP_HIT);
}

TEST(every_opcode_has_its_names)
{
	static const struct {
		enum icp_opcode opcode;
		const char *name, *short_name;
	} names[] = {
		{ 1, "ICP_OP_QUERY", "query" },
		{ 2, "ICP_OP_HIT", "hit" },
		{ 3, "ICP_OP_MISS", "miss" },
		{ 4, "ICP_OP_ERR", "err" },
		{ 10, "ICP_OP_SECHO", "secho" },
		{ 11, "ICP_OP_DECHO", "decho" },
		{ 21, "ICP_OP_MISS_NOFETCH", "miss_nofetch" },
		{ 22, "ICP_OP_DENIED", "denied" },
		{ 23, "ICP_OP_HIT_OBJ", "hit_obj" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_string_equal(opcode_name(names[i].opcode), names[i].name);
		assert_string_equal(opcode_short_name(names[i].opcode), names[i].short_name);
	}
	assert_null(opcode_name(ICP_OP_INVALID));
	assert_null(opcode_short_name((enum icp_opcode)5));
}
