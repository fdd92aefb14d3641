// SPDX-License-Identifier: GPL-2.0-or-later
#include "policy/kinds.h"

const struct policy_kind *const policy_kinds[] = {
	&policy_prefix,	  &policy_exact,  &policy_substring, &policy_suffix,
	&policy_glob,	  &policy_regex,  &policy_host,	     &policy_partition_kind,
	&policy_source,	  &policy_load,	  &policy_health,    &policy_flag,
	&policy_schedule, &policy_recent, &policy_lua,	     &policy_helper,
	&policy_plugin,	  NULL,
};
