/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A configuration as text that can be read again. All bytes of values are preserved. */
#ifndef XDP_ICP_CONFIG_RENDER_H
#define XDP_ICP_CONFIG_RENDER_H

#include "config/config.h"

/*
 * Return the section of a policy or a cluster, whichever `what` names, behind the text `head`. To be freed
 * by the caller. NULL: out of memory.
 */
char *render_section(const char *head, const char *what, const struct policy_spec *spec);

/*
 * Return all options with the values that they have, defaults included, and the policies in the order of
 * their names, each below a comment with its place; included files are part of it. To be freed by the
 * caller. NULL: out of memory.
 */
char *render_config(const struct config *config);

#endif
