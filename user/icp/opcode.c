// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <strings.h>

#include "icp/opcode.h"

#define LONG_FORM "ICP_OP_"

static const struct {
	enum icp_opcode opcode;
	const char *short_name;
	const char *name;
} opcodes[] = {
#define OPCODE(upper, lower)                                                                       \
	{                                                                                          \
		ICP_OP_##upper, lower, LONG_FORM #upper                                            \
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

enum icp_opcode opcode_from_name(const char *name, size_t length)
{
	size_t form = strlen(LONG_FORM);

	if (length > form && strncasecmp(name, LONG_FORM, form) == 0) {
		name += form;
		length -= form;
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
