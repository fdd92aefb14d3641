// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/progress.h"

static bool shown;

bool progress_is_shown(void)
{
	return isatty(STDERR_FILENO);
}

void progress_show(const char *format, ...)
{
	struct winsize size = { 0 };
	char line[256];
	va_list args;

	if (!progress_is_shown())
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col == 0)
		size.ws_col = 80;
	fprintf(stderr, "\r%.*s\033[K", size.ws_col - 1, line);
	fflush(stderr);
	shown = true;
}

void progress_end(void)
{
	if (shown)
		fputs("\r\033[K", stderr);
	shown = false;
}
