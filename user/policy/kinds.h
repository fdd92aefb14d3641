/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kinds of policies, one per file. */
#ifndef XDP_ICP_POLICY_KINDS_H
#define XDP_ICP_POLICY_KINDS_H

#include "policy/policy.h"

extern const struct policy_kind policy_prefix;
extern const struct policy_kind policy_exact;
extern const struct policy_kind policy_substring;
extern const struct policy_kind policy_suffix;
extern const struct policy_kind policy_glob;
extern const struct policy_kind policy_regex;
extern const struct policy_kind policy_host;
extern const struct policy_kind policy_source;
extern const struct policy_kind policy_partition_kind;
extern const struct policy_kind policy_load;
extern const struct policy_kind policy_health;
extern const struct policy_kind policy_flag;
extern const struct policy_kind policy_schedule;
extern const struct policy_kind policy_recent;
extern const struct policy_kind policy_lua;
extern const struct policy_kind policy_helper;
extern const struct policy_kind policy_plugin;

#endif
