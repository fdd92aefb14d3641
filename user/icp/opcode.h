/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of the ICP opcodes, and of those that are verdicts. Each has a long form as in RFC 2186
 * (ICP_OP_MISS_NOFETCH) and a short one (miss_nofetch); parsing ignores case.
 */
#ifndef XDP_ICP_OPCODE_H
#define XDP_ICP_OPCODE_H

#include <stddef.h>

#include "icp.h"

/* The names of verdicts, for messages. */
#define VERDICT_NAMES "hit, miss, miss_nofetch, denied or err"

/* Return the long and the short name of an opcode. NULL if RFC 2186 does not define it. */
const char *opcode_name(enum icp_opcode opcode);
const char *opcode_short_name(enum icp_opcode opcode);

/*
 * Return the verdict of a name of `length` bytes in either form, or ICP_OP_INVALID, also for opcodes that
 * no reply has.
 */
enum icp_opcode verdict_from_name(const char *name, size_t length);

#endif
