// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "control/protocol.h"
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

json_t *control_message(const char *text)
{
	size_t size = ESCAPE_MAX * strlen(text) + 1;
	char *line = malloc(size);
	json_t *json = NULL;

	if (line) {
		escape_line(text, line, size);
		json = json_string(line);
	}
	free(line);
	return json;
}
