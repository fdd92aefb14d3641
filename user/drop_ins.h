/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policies that were added at run time and are to outlive it: files of a policy each in the
 * directory CONFIGURATION.d beside the configuration, read after it in the order of their names.
 * A policy there takes the place of one of the same name.
 */
#ifndef XDP_ICP_DROP_INS_H
#define XDP_ICP_DROP_INS_H

#include "config.h"
#include "policy_spec.h"

/* Adds the policies of all drop-in files to a configuration. 0, or -1 with an error. */
int drop_ins_read(const char *config_path, struct config *config, struct error *error);

/* Writes a policy's file, or replaces it as a whole. 0, or -1 with an error. */
int drop_in_save(const char *config_path, const struct policy_spec *spec, struct error *error);

/* Removes the file of the policy of that name. 0, 1 if there is none, or -1 with an error. */
int drop_in_remove(const char *config_path, const char *name, struct error *error);

/*
 * Puts a policy into a configuration, in the place of one of the same name. The spec is the
 * configuration's then. -1: out of memory, and it is still the caller's.
 */
int config_put_policy(struct config *config, struct policy_spec *spec);

/* Takes the policy of that name out. False: there is none. */
bool config_remove_policy(struct config *config, const char *name);

#endif
