/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A configuration as text, to be read again. Any byte of a value survives. */
#ifndef XDP_ICP_CONFIG_RENDER_H
#define XDP_ICP_CONFIG_RENDER_H

#include <stdio.h>

#include "config/config.h"

/* Print the section of a policy, or of a cluster. */
void render_policy(FILE *out, const struct policy_spec *spec);
void render_cluster(FILE *out, const struct policy_spec *spec);

/*
 * Return all options with the values that they have, defaults included, and the policies in the order of
 * their names, each below a comment with its place; included files are part of it. To be freed by the
 * caller. NULL: out of memory.
 */
char *render_config(const struct config *config);

#endif
