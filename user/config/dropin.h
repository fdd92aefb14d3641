/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policies that were added at run time and saved: one file per policy in the directory
 * CONFIGURATION.d, read after the configuration in the order of their names. A policy there
 * replaces one of the same name.
 */
#ifndef XDP_ICP_DROP_INS_H
#define XDP_ICP_DROP_INS_H

#include "config/config.h"
#include "policy/spec.h"

/* Add all of them to a configuration that was read from `path`. Returns 0, or -1 with an error. */
int config_load_drop_ins(const char *path, struct config *config, struct error *error);

/* Read a configuration with all of them. Returns 0, or -1 with an error and nothing allocated. */
int config_load(const char *path, struct config **config, struct error *error);

/* Write or atomically replace a policy's file. Returns 0, or -1 with an error. */
int drop_in_save(const char *config_path, const struct policy_spec *spec, struct error *error);

/* Remove the file of a policy. Returns 0, 1 if there is none, or -1 with an error. */
int drop_in_remove(const char *config_path, const char *name, struct error *error);

#endif
