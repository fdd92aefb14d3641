/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands between a configuration file and libconfuse 3.3, which counts a line too many for
 * each comment, takes no comments within lists, ends quietly where a closing brace is missing, and
 * remembers a missing quote into the next file that it reads.
 */
#ifndef XDP_ICP_CONFIG_TEXT_H
#define XDP_ICP_CONFIG_TEXT_H

#include <stddef.h>

#include "lib/error.h"

/* The names of variables of the environment, each once. */
struct config_variables {
	char **names;
	size_t count;
};

void config_variables_free(struct config_variables *variables);

/*
 * Blanks the comments (#, //, slash-asterisk) of a text of `size` bytes and a NUL in place, all
 * lines staying where they are. -1 with the error NAME:LINE: ... for what libconfuse would not
 * survive or not notice: a NUL, a string, comment or brace without its end, an escape that stands
 * for no byte. Adds the variables that the text has in ${} to `variables`; NULL: it may have none.
 */
int config_text_clean(char *text, size_t size, const char *name, struct config_variables *variables,
		      struct error *error);

#endif
