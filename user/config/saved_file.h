/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file in the directory CONFIGURATION.d that the daemon writes, opened to change it. A change is
 * durable when its function returns, and can be undone. Errors name the remedy.
 */
#ifndef XDP_ICP_SAVED_FILE_H
#define XDP_ICP_SAVED_FILE_H

#include <stddef.h>

#include "lib/error.h"

/*
 * Open the file `name`, of at most `max` bytes, beside the configuration, and read it. NULL with an
 * error; a missing file is not an error.
 */
struct saved_file *saved_file_open(const char *config_path, const char *name, size_t max,
				   struct error *error);
void saved_file_free(struct saved_file *file); /* NULL is ignored */

const char *saved_file_path(const struct saved_file *file);

/* Return its text when it was opened, with a NUL behind it; NULL: there was no file. */
const char *saved_file_text(const struct saved_file *file);

/* Write or atomically replace the file. Returns 0, or -1 with nothing changed and an error. */
int saved_file_write(const struct saved_file *file, const char *text, size_t size,
		     struct error *error);

/* Remove the file, which must exist. Returns likewise. */
int saved_file_remove(const struct saved_file *file, struct error *error);

/* Restore what was there when it was opened, whatever is there now. Returns 0, or -1 with an error. */
int saved_file_undo(const struct saved_file *file, struct error *error);

#endif
