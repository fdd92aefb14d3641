/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bpftool commands for a rule. */
#ifndef XDP_ICP_ICPCTL_RULES_KEY_H
#define XDP_ICP_ICPCTL_RULES_KEY_H

#include <stddef.h>

#include "icp.h"
#include "icpctl/icpctl.h"

/*
 * Print the commands that insert (with a verdict) or look up (without), and remove the rule of a
 * prefix of at most PREFIX_URL_MAX bytes in the map below `pin_dir`. Key and value are those of
 * include/maps.h in host byte order. Refuses a `pin_dir` that pin_dir_check() refuses. Return an
 * exit status.
 */
int rules_key_print(struct icpctl *ctl, const char *pin_dir, const char *prefix, size_t length,
		    enum icp_opcode verdict);

#endif
