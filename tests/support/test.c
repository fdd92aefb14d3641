// SPDX-License-Identifier: GPL-2.0-or-later
#include "support/test.h"

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
