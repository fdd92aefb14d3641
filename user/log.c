// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

static const char *program_name = "xdp-icp";
static int most = LOG_NOTICE;
static bool systemd;

void log_open(const char *program, int level)
{
	program_name = program;
	most = level;
	systemd = getenv("JOURNAL_STREAM") != NULL;
}

void log_vwrite(int priority, const char *format, va_list args)
{
	char line[2048];
	int length;

	if (priority > most)
		return;
	length = systemd ? snprintf(line, sizeof(line), "<%d>", priority)
			 : snprintf(line, sizeof(line), "%s: ", program_name);
	vsnprintf(line + length, sizeof(line) - length, format, args);
	line[strcspn(line, "\n")] = '\0'; /* libbpf and libxdp bring their own newline */
	fprintf(stderr, "%s\n", line);
}

void log_write(int priority, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vwrite(priority, format, args);
	va_end(args);
}
