/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The option `include`: further files of the same configuration. */
#ifndef XDP_ICP_CONFIG_INCLUDE_H
#define XDP_ICP_CONFIG_INCLUDE_H

#include "config/config.h"

/* Read one file into a configuration. Returns -1 with an error. In config.c. */
int config_read_file(struct config *config, const char *path, const struct config_variables *known,
		     struct error *error);

/*
 * Read the files and directories into it that the configuration at `path` includes, likewise. What is in
 * two files is an error.
 */
int config_read_included(struct config *config, const char *path,
			 const struct config_variables *known, struct error *error);

#endif
