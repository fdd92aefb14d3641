// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "lib/escape.h"
#include "lib/log.h"

static const char *program_name = "xdp-icp";
static int max_priority = LOG_NOTICE;
static bool systemd;
static atomic_bool json; /* set while other threads write */

void log_open(const char *program, int level)
{
	program_name = program;
	max_priority = level;
	systemd = getenv("JOURNAL_STREAM") != NULL;
}

void log_set_json(bool value)
{
	json = value;
}

/* Return the object of a message as text, for free(), or NULL. */
static char *json_line(int priority, const char *message)
{
	static const char *const levels[] = {
		[LOG_EMERG] = "emergency", [LOG_ALERT] = "alert",     [LOG_CRIT] = "critical",
		[LOG_ERR] = "error",	   [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
		[LOG_INFO] = "info",	   [LOG_DEBUG] = "debug",
	};
	char seconds[32], stamp[48];
	struct timespec now;
	json_t *object;
	struct tm utc;
	char *text;

	clock_gettime(CLOCK_REALTIME, &now);
	strftime(seconds, sizeof(seconds), "%FT%T", gmtime_r(&now.tv_sec, &utc));
	snprintf(stamp, sizeof(stamp), "%s.%03ldZ", seconds, now.tv_nsec / 1000000);
	object = json_pack("{s:s, s:s, s:s, s:s}", "time", stamp, "level", levels[priority],
			   "program", program_name, "message", message);
	text = object ? json_dumps(object, JSON_PRESERVE_ORDER) : NULL;
	json_decref(object);
	return text;
}

void log_write(int priority, const char *format, ...)
{
	char text[2048], line[ESCAPE_MAX * sizeof(text)], *object;
	va_list args;

	if (priority > max_priority)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	text[strcspn(text, "\n")] = '\0'; /* messages of libbpf and libxdp end with one */
	/* Text of URLs, helpers and file names must not control a terminal. */
	escape_line(text, line, sizeof(line));
	object = json ? json_line(priority, line) : NULL;
	if (systemd)
		fprintf(stderr, "<%d>%s\n", priority, object ? object : line);
	else if (object)
		fprintf(stderr, "%s\n", object);
	else
		fprintf(stderr, "%s: %s\n", program_name, line);
	free(object);
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
