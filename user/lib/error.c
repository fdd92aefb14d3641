// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdarg.h>
#include <stdio.h>

#include "lib/error.h"

void error_write(struct error *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
}

int error_prefix(struct error *error, const char *format, ...)
{
	struct error inner = *error;
	va_list args;
	int written;

	va_start(args, format);
	written = vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	if (written >= 0 && (size_t)written < sizeof(error->text))
		snprintf(error->text + written, sizeof(error->text) - written, "%s", inner.text);
	return -1;
}
