/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Preprocessing of configuration files for libconfuse 3.3, which counts an extra line for each
 * comment, allows no comments within lists, silently accepts a missing closing brace, and carries an
 * unterminated string over into the next file.
 */
#ifndef XDP_ICP_CONFIG_TEXT_H
#define XDP_ICP_CONFIG_TEXT_H

#include <stddef.h>

#include "lib/error.h"

/* Names of environment variables, without duplicates. */
struct config_variables {
	char **names;
	size_t count;
};

void config_variables_free(struct config_variables *variables);

/*
 * Blank the comments (#, //, slash-asterisk) of a text of `size` bytes plus a NUL in place, keeping
 * its lines. Add the names of the variables used in ${} to `variables`; NULL: refuse them. Refuse one
 * that is neither among `known` (NULL: all are) nor in the environment. Returns -1 with the error
 * NAME:LINE: ... also for what libconfuse mishandles: a NUL, an unterminated string, comment or
 * brace, an escape that is not a byte.
 */
int config_text_clean(char *text, size_t size, const char *name, struct config_variables *variables,
		      const struct config_variables *known, struct error *error);

#endif
