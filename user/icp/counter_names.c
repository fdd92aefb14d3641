// SPDX-License-Identifier: GPL-2.0-or-later
#include "icp/counter_names.h"

const struct counter_name counter_names[ICP_COUNTER_MAX] = {
#define X(identifier, group, name, help) { group, name, help },
	ICP_COUNTERS(X)
#undef X
};
