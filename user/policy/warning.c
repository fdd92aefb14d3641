// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdarg.h>
#include <stdio.h>

#include "lib/log.h"
#include "policy/warning.h"

void policy_warn(struct policy_warning *warning, const struct policy *policy, const char *format,
		 ...)
{
	char text[512], more[64] = "";
	struct timespec now;
	va_list args;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (warning->next > now.tv_sec) {
		warning->suppressed++;
		return;
	}
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (warning->suppressed)
		snprintf(more, sizeof(more), " (and %lu more since the last)", warning->suppressed);
	log_write(LOG_WARNING, "policy '%s': %s%s", policy->name, text, more);
	warning->suppressed = 0;
	warning->next = now.tv_sec + POLICY_WARNING_PAUSE;
}
