/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The names of the counters of include/counters.h. */
#ifndef XDP_ICP_COUNTER_NAMES_H
#define XDP_ICP_COUNTER_NAMES_H

#include "counters.h"

struct counter_name {
	const char *group;
	const char *name; /* within the group; empty: the group has no other */
	const char *help;
};

extern const struct counter_name counter_names[ICP_COUNTER_MAX];

#endif
