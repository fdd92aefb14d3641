// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/protocol.h"
#include "lib/error.h"
#include "lib/escape.h"

json_t *control_bytes(const void *bytes, size_t length)
{
	char *text = escape(bytes, length);
	json_t *json = text ? json_string(text) : NULL;

	free(text);
	return json;
}

json_t *control_text(const char *text)
{
	return control_bytes(text, strlen(text));
}

json_t *control_refusal(const char *format, ...)
{
	struct error error;
	char line[ESCAPE_MAX * sizeof(error.text)];
	va_list args;

	va_start(args, format);
	vsnprintf(error.text, sizeof(error.text), format, args);
	va_end(args);
	escape_line(error.text, line, sizeof(line));
	return json_pack("{s:b, s:s}", "ok", 0, "error", line);
}
