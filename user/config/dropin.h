/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policies that were added at run time and are to outlive it: files of a policy each in the
 * directory CONFIGURATION.d beside the configuration, read after it in the order of their names.
 * A policy there takes the place of one of the same name.
 */
#ifndef XDP_ICP_DROP_INS_H
#define XDP_ICP_DROP_INS_H

#include "config/config.h"
#include "policy/spec.h"

/* Adds all of them to a configuration that was read from `path`. 0, or -1 with an error. */
int config_load_drop_ins(const char *path, struct config *config, struct error *error);

/* Reads a configuration with all of them. */
int config_load(const char *path, struct config **config, struct error *error);

/* Writes a policy's file, or replaces it as a whole. 0, or -1 with an error. */
int drop_in_save(const char *config_path, const struct policy_spec *spec, struct error *error);

/* Removes the file of the policy of that name. 0, 1 if there is none, or -1 with an error. */
int drop_in_remove(const char *config_path, const char *name, struct error *error);

#endif
