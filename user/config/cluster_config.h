/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A cluster as the configuration describes it. */
#ifndef XDP_ICP_CONFIG_CLUSTER_CONFIG_H
#define XDP_ICP_CONFIG_CLUSTER_CONFIG_H

#include "cluster/cluster.h"
#include "config/config.h"
#include "policy/policy.h"

/* The table of settings, for the parser and the manual. */
extern const struct policy_setting cluster_config_settings[];

/*
 * Interpret the section of a cluster. The settings have their texts in the result, to be freed by
 * cluster_config_free(). NULL with an error, FILE:LINE: what is wrong.
 */
struct cluster_settings *cluster_config_read(const struct policy_spec *spec,
					     const struct config *config, struct error *error);
void cluster_config_free(struct cluster_settings *settings); /* NULL is ignored */

/* Check all clusters. Returns -1 with an error. */
int cluster_config_check(const struct config *config, struct error *error);

/* Check that the clusters that policies name are configured. Returns likewise. */
int cluster_config_check_policies(const struct config *config, struct error *error);

/* Does a policy need the map of any cluster? */
bool cluster_config_is_used(const struct config *config);

#endif
