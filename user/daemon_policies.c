// SPDX-License-Identifier: GPL-2.0-or-later
/* Changes to the chain while the daemon runs: icpctl policy. */
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "drop_ins.h"
#include "log.h"

/* Exchanges the list of policies for another one, and takes that. -1: all is as it was. */
static int exchange(struct daemon *daemon, struct policy_spec **policies, size_t count,
		    struct error *error)
{
	struct config *config = daemon->config;
	struct policy_spec **former = config->policies;
	size_t former_count = config->policy_count;
	int result;

	config->policies = policies;
	config->policy_count = count;
	result = daemon_rebuild(daemon, error);
	if (result) {
		config->policies = former;
		config->policy_count = former_count;
	}
	free(result ? policies : former);
	return result;
}

/* A copy of the list of policies with room for one more; NULL: out of memory. */
static struct policy_spec **copy_list(const struct config *config)
{
	struct policy_spec **copy = calloc(config->policy_count + 1, sizeof(struct policy_spec *));

	if (copy && config->policy_count)
		memcpy(copy, config->policies, config->policy_count * sizeof(struct policy_spec *));
	return copy;
}

/* The number of a policy in the configuration, or that of all policies: there is none. */
static size_t find_policy(const struct config *config, const char *name)
{
	size_t i = 0;

	while (i < config->policy_count && strcmp(config->policies[i]->name, name) != 0)
		i++;
	return i;
}

int daemon_put_policy(struct daemon *daemon, struct policy_spec *spec, bool save,
		      struct error *error)
{
	const struct config *config = daemon->config;
	size_t count = config->policy_count, place = find_policy(config, spec->name);
	struct policy_spec *former = place < count ? config->policies[place] : NULL;
	struct policy_spec **policies = copy_list(config);

	if (!policies)
		return error_set(error, "out of memory");
	policies[place] = spec;
	if (exchange(daemon, policies, former ? count : count + 1, error))
		return -1;
	policy_spec_free(former);
	log_write(LOG_NOTICE, "policy '%s' %s", spec->name, former ? "replaced" : "added");
	if (save && drop_in_save(daemon->config_path, spec, error))
		return error_prefix(error,
				    "the policy counts until the next reload, but is not saved: ");
	return 0;
}

int daemon_remove_policy(struct daemon *daemon, const char *name, bool save, struct error *error)
{
	const struct config *config = daemon->config;
	size_t count = config->policy_count, place = find_policy(config, name);
	struct policy_spec *gone = place < count ? config->policies[place] : NULL;
	struct policy_spec **policies;
	int result = 0;

	if (!gone)
		return error_set(error, "there is no policy '%s'; `icpctl policy list` lists them",
				 name);
	policies = copy_list(config);
	if (!policies)
		return error_set(error, "out of memory");
	policies[place] = policies[count - 1];
	if (exchange(daemon, policies, count - 1, error))
		return -1;
	log_write(LOG_NOTICE, "policy '%s' removed", name);
	if (save) {
		result = drop_in_remove(daemon->config_path, name, error);
		if (result > 0 && strcmp(gone->where, COMMAND_LINE) == 0)
			result = 0; /* was never saved */
		else if (result > 0)
			error_set(error,
				  "the policy is gone until the next reload; it stands in %s, take "
				  "it out there",
				  gone->where);
	}
	policy_spec_free(gone);
	return result ? -1 : 0;
}
