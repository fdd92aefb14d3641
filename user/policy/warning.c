// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdarg.h>
#include <stdio.h>

#include "policy/warning.h"

void policy_warn(struct log_limit *limit, const struct policy *policy, const char *format, ...)
{
	char text[512], more[LOG_LIMIT_TEXT];
	va_list args;

	if (!log_limit_allows(limit, 1, more))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_write(LOG_WARNING, "policy '%s': %s%s", policy->name, text, more);
}
