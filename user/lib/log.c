// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/escape.h"
#include "lib/log.h"

static const char *program_name = "xdp-icp";
static int max_priority = LOG_NOTICE;
static bool systemd;

void log_open(const char *program, int level)
{
	program_name = program;
	max_priority = level;
	systemd = getenv("JOURNAL_STREAM") != NULL;
}

void log_vwrite(int priority, const char *format, va_list args)
{
	char text[2048], line[ESCAPE_MAX * sizeof(text)];

	if (priority > max_priority)
		return;
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0'; /* messages of libbpf and libxdp end with one */
	/* Text of URLs, helpers and file names must not control a terminal. */
	escape_line(text, line, sizeof(line));
	if (systemd)
		fprintf(stderr, "<%d>%s\n", priority, line);
	else
		fprintf(stderr, "%s: %s\n", program_name, line);
}

void log_write(int priority, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vwrite(priority, format, args);
	va_end(args);
}

bool log_limit_allows(struct log_limit *limit, unsigned int most, char more[LOG_LIMIT_TEXT])
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (now.tv_sec >= limit->end) {
		limit->end = now.tv_sec + LOG_LIMIT_PERIOD;
		limit->written = 0;
	}
	if (limit->written == most) {
		limit->suppressed++;
		return false;
	}
	limit->written++;
	more[0] = '\0';
	if (limit->suppressed)
		snprintf(more, LOG_LIMIT_TEXT, " (and %lu more since the last)", limit->suppressed);
	limit->suppressed = 0;
	return true;
}
