/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policies that were added at run time and saved: one file per policy in the directory
 * CONFIGURATION.d, read after the configuration in the order of their names. A policy there
 * replaces one of the same name.
 */
#ifndef XDP_ICP_DROP_INS_H
#define XDP_ICP_DROP_INS_H

#include <stdbool.h>

#include "config/config.h"
#include "policy/spec.h"

/* Add all of them to a configuration that was read from `path`. Returns 0, or -1 with an error. */
int config_load_drop_ins(const char *path, struct config *config, struct error *error);

/* Read a configuration with all of them, as config_load_file() does. */
int config_load(const char *path, const struct config *running, struct config **config,
		struct error *error);

/*
 * The file of a policy, opened to change it. A change is durable when it returns, and can be undone.
 * NULL with an error. `config_path` must outlive the file.
 */
struct drop_in *drop_in_open(const char *config_path, const char *name, struct error *error);
void drop_in_free(struct drop_in *file); /* NULL is ignored */

/* Was there a file when it was opened? */
bool drop_in_existed(const struct drop_in *file);

/*
 * Write or atomically replace the file. Returns 0, or -1 with nothing changed and an error, also if
 * another file that is read later defines the policy too.
 */
int drop_in_save(const struct drop_in *file, const struct policy_spec *spec, struct error *error);

/* Remove the file, which must exist. Returns 0, or -1 with an error. */
int drop_in_remove(const struct drop_in *file, struct error *error);

/* Undo a change that succeeded. Returns 0, or -1 with an error. */
int drop_in_undo(const struct drop_in *file, struct error *error);

/*
 * Find the policy as it is without its file: as the configuration, read again, or another file
 * defines it. Returns 0 and a spec that the caller frees, NULL if nothing defines the policy, or -1
 * with an error.
 */
int drop_in_beneath(const struct drop_in *file, const struct config *running,
		    struct policy_spec **spec, struct error *error);

#endif
