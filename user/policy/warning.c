// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "policy/warning.h"

void policy_warn(struct policy_warnings *warnings, const struct policy *policy, const char *format,
		 ...)
{
	char text[512], more[LOG_LIMIT_TEXT];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	warnings->time = time(NULL);
	snprintf(warnings->text, sizeof(warnings->text), "%.*s", (int)sizeof(warnings->text) - 1,
		 text);
	if (log_limit_allows(&warnings->limit, 1, more))
		log_write(LOG_WARNING, "policy '%s': %s%s", policy->name, text, more);
}

void policy_warnings_tell(const struct policy_warnings *warnings, struct policy_state *state)
{
	size_t used = strlen(state->why);
	char when[CLOCK_TEXT_SIZE];

	if (!warnings->time)
		return;
	clock_text(warnings->time, when);
	snprintf(state->why + used, sizeof(state->why) - used, "%sthe last warning, %s: %s",
		 used ? "; " : "", when, warnings->text);
}
