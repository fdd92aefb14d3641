// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/saved_drain.h"
#include "icp/opcode.h"
#include "maps.h"

#define FILE_NAME "drain" /* without .conf */
#define TEXT_MAX 64u	  /* bytes */
#define SILENCE "silence"

uint32_t drain_from_name(const char *name)
{
	enum icp_opcode verdict = verdict_from_name(name, strlen(name));

	if (strcasecmp(name, SILENCE) == 0)
		return DRAIN_SILENCE;
	return verdict == ICP_OP_INVALID ? 0 : verdict;
}

const char *drain_name(uint32_t drain)
{
	return drain == DRAIN_SILENCE ? SILENCE : drain ? opcode_name(drain) : NULL;
}

static struct saved_file *open_file(const char *config_path, struct error *error)
{
	return saved_file_open(config_path, FILE_NAME, TEXT_MAX, error);
}

int saved_drain_read(const char *config_path, uint32_t *drain, struct error *error)
{
	struct saved_file *file = open_file(config_path, error);
	const char *text = file ? saved_file_text(file) : NULL;
	char name[TEXT_MAX + 1] = "";

	*drain = 0;
	if (!file)
		return -1;
	if (text) {
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(text, "\n"), text);
		*drain = drain_from_name(name);
		if (!*drain)
			error_set(error,
				  "%s: '%s' must be " DRAIN_NAMES
				  "; remove the file to end the drain "
				  "that it keeps",
				  saved_file_path(file), name);
	}
	saved_file_free(file);
	return text && !*drain ? -1 : 0;
}

int saved_drain_change(const char *config_path, uint32_t drain, struct saved_file **file,
		       struct error *error)
{
	char text[TEXT_MAX];
	int length, result = 0;

	*file = open_file(config_path, error);
	if (!*file)
		return -1;
	if (drain) {
		length = snprintf(text, sizeof(text), "%s\n", drain_name(drain));
		result = saved_file_write(*file, text, (size_t)length, error);
	} else if (saved_file_text(*file)) {
		result = saved_file_remove(*file, error);
	}
	if (result == 0)
		return 0;
	saved_file_free(*file);
	*file = NULL;
	return error_prefix(error, "not saved, nothing is changed: ");
}
