/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The names of ICP's opcodes and of the verdicts among them. Each has a long form as RFC 2186
 * writes it (ICP_OP_MISS_NOFETCH) and a short one (miss_nofetch); both are read in any case.
 */
#ifndef XDP_ICP_OPCODE_H
#define XDP_ICP_OPCODE_H

#include <stddef.h>

#include "icp.h"

/* What a verdict may be called, for messages. */
#define VERDICT_NAMES "hit, miss, miss_nofetch, denied or err"

/* The long and the short name of an opcode. NULL if RFC 2186 has none for it. */
const char *opcode_name(enum icp_opcode opcode);
const char *opcode_short_name(enum icp_opcode opcode);

/* The opcode of a name of `length` bytes, in either form. ICP_OP_INVALID if there is none. */
enum icp_opcode opcode_from_name(const char *name, size_t length);

/* The same for verdicts alone: ICP_OP_INVALID for opcodes that a policy may not answer with. */
enum icp_opcode verdict_from_name(const char *name, size_t length);

#endif
