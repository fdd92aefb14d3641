// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An included file includes nothing: `include` is an option, and each option is set in one file. So
 * there are no loops.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/directory.h"
#include "config/include.h"
#include "lib/path_safety.h"

#define FILES_MAX 4096 /* of a directory */

/* Root takes no names from a directory that others can write to. */
static int check_directory(const char *path, const char *from, struct error *error)
{
	char real[PATH_MAX];

	if (geteuid() || path_resolve_safe(path, real, error) == 0)
		return 0;
	return error_prefix(error, "%s: include: %s is not read with root's rights: ", from, path);
}

/* Read a directory, or a file, that `from` includes. */
static int read_path(struct config *config, const char *path, const char *from,
		     const struct config_variables *known, struct error *error)
{
	size_t count = 0;
	char **paths;
	int result;

	if (directory_list(path, &paths, &count)) {
		if (errno == ENOTDIR)
			return config_read_file(config, path, known, error);
		return error_set(error,
				 "%s: include: %s: %s; create the directory, let the daemon's user "
				 "read it, or do not include it",
				 from, path, strerror(errno));
	}
	result = check_directory(path, from, error);
	if (result == 0 && count > FILES_MAX)
		result = error_set(error, "%s: include: %s: more than %d files", from, path,
				   FILES_MAX);
	for (size_t i = 0; i < count && result == 0; i++)
		result = config_read_file(config, paths[i], known, error);
	directory_free(paths, count);
	return result;
}

/* libconfuse has checked each file for itself. */
static int check_names(struct policy_spec *const *list, size_t count, const char *what,
		       struct error *error)
{
	struct policy_spec **sorted = policy_specs_sorted(list, count);
	int result = 0;

	if (!sorted)
		return error_set(error, "out of memory");
	for (size_t i = 1; i < count && result == 0; i++)
		if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
			result = error_set(error,
					   "%s: there is a %s named '%s' already, at %s; each "
					   "needs a name of its own",
					   sorted[i]->where, what, sorted[i]->name,
					   sorted[i - 1]->where);
	free(sorted);
	return result;
}

int config_read_included(struct config *config, const char *path,
			 const struct config_variables *known, struct error *error)
{
	size_t count = config->include_count;

	for (size_t i = 0; i < count; i++)
		if (read_path(config, config->includes[i], path, known, error))
			return -1;
	if (!count)
		return 0;
	return check_names(config->policies, config->policy_count, "policy", error) ||
			       check_names(config->clusters, config->cluster_count, "cluster",
					   error)
		       ? -1
		       : 0;
}
