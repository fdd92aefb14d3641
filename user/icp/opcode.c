// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <strings.h>

#include "icp/opcode.h"

#define PREFIX "ICP_OP_"

static const struct {
	enum icp_opcode opcode;
	const char *short_name;
	const char *name;
} opcodes[] = {
#define OPCODE(upper, lower)                                                                       \
	{                                                                                          \
		ICP_OP_##upper, lower, PREFIX #upper                                               \
	}
	OPCODE(QUERY, "query"),
	OPCODE(HIT, "hit"),
	OPCODE(MISS, "miss"),
	OPCODE(ERR, "err"),
	OPCODE(SECHO, "secho"),
	OPCODE(DECHO, "decho"),
	OPCODE(MISS_NOFETCH, "miss_nofetch"),
	OPCODE(DENIED, "denied"),
	OPCODE(HIT_OBJ, "hit_obj"),
#undef OPCODE
};

#define OPCODES (sizeof(opcodes) / sizeof(opcodes[0]))

const char *opcode_name(enum icp_opcode opcode)
{
	for (size_t i = 0; i < OPCODES; i++)
		if (opcodes[i].opcode == opcode)
			return opcodes[i].name;
	return NULL;
}

const char *opcode_short_name(enum icp_opcode opcode)
{
	for (size_t i = 0; i < OPCODES; i++)
		if (opcodes[i].opcode == opcode)
			return opcodes[i].short_name;
	return NULL;
}

static enum icp_opcode opcode_from_name(const char *name, size_t length)
{
	size_t prefix = strlen(PREFIX);

	if (length > prefix && strncasecmp(name, PREFIX, prefix) == 0) {
		name += prefix;
		length -= prefix;
	}
	for (size_t i = 0; i < OPCODES; i++)
		if (strlen(opcodes[i].short_name) == length &&
		    strncasecmp(opcodes[i].short_name, name, length) == 0)
			return opcodes[i].opcode;
	return ICP_OP_INVALID;
}

enum icp_opcode verdict_from_name(const char *name, size_t length)
{
	enum icp_opcode opcode = opcode_from_name(name, length);

	return icp_is_verdict(opcode) ? opcode : ICP_OP_INVALID;
}
