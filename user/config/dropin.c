// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/directory.h"
#include "config/dropin.h"
#include "config/render.h"
#include "config/options.h"
#include "config/saved_file.h"
#include "lib/vec.h"

#define SUFFIX ".conf"

struct drop_in {
	const char *config_path;
	char *policy; /* its name */
	struct saved_file *file;
};

/* --- all files */

static struct policy_spec **find_policy(const struct config *config, const char *name)
{
	return policy_specs_find(config->policies, config->policy_count, name);
}

/*
 * Add a policy to a configuration, replacing one of the same name. Takes ownership of the spec,
 * unless it returns -1: out of memory.
 */
static int replace_policy(struct config *config, struct policy_spec *spec)
{
	struct policy_spec **added = find_policy(config, spec->name);

	if (added) {
		policy_spec_free(*added);
		*added = spec;
		return 0;
	}
	added = vec_append(config->policies, config->policy_count);
	if (!added)
		return -1;
	*added = spec;
	return 0;
}

/* Move the policies of one configuration to another. */
static int move_policies(struct config *config, struct config *from, struct error *error)
{
	while (from->policy_count) {
		if (replace_policy(config, from->policies[from->policy_count - 1]))
			return error_set(error, "out of memory");
		from->policy_count--;
	}
	return 0;
}

/* Add what is in the directory to a configuration, except for one file (NULL: no exception). */
static int load_all_but(const char *except, const char *config_path, struct config *config,
			struct error *error)
{
	char directory[PATH_MAX], **paths;
	size_t count;
	int result = 0;

	snprintf(directory, sizeof(directory), "%s.d", config_path);
	if (directory_list(directory, &paths, &count)) {
		if (errno == ENOENT)
			return 0;
		return error_set(error, "%s: cannot read: %s; let the daemon's user read it",
				 directory, strerror(errno));
	}
	for (size_t i = 0; i < count && result == 0; i++) {
		struct config *part = NULL;

		if (except && strcmp(paths[i], except) == 0)
			continue;
		result = config_load_drop_in(paths[i], &part, error);
		if (result == 0)
			result = move_policies(config, part, error);
		config_free(part);
	}
	directory_free(paths, count);
	return result;
}

int config_load_drop_ins(const char *config_path, struct config *config, struct error *error)
{
	return load_all_but(NULL, config_path, config, error);
}

int config_load(const char *path, const struct config *running, struct config **config,
		struct error *error)
{
	if (config_load_file(path, running, config, error))
		return -1;
	if (config_load_drop_ins(path, *config, error) == 0)
		return 0;
	config_free(*config);
	*config = NULL;
	return -1;
}

/* --- one file */

/* The name of a policy's file: bytes other than letters, digits, '-' and '_' become %HH. */
static int make_name(const char *policy, char name[NAME_MAX + 1], struct error *error)
{
	size_t used = 0;

	for (; *policy && used + sizeof("%00" SUFFIX) <= NAME_MAX + 1; policy++) {
		unsigned char c = *policy;

		used += snprintf(name + used, NAME_MAX + 1 - used,
				 isalnum(c) || c == '-' || c == '_' ? "%c" : "%%%02x", c);
	}
	if (*policy)
		return error_set(error, "the name is too long for a file of its own");
	snprintf(name + used, NAME_MAX + 1 - used, SUFFIX);
	return 0;
}

struct drop_in *drop_in_open(const char *config_path, const char *policy, struct error *error)
{
	struct drop_in *file = calloc(1, sizeof(*file));
	char name[NAME_MAX + 1];

	if (file)
		file->policy = strdup(policy);
	if (!file || !file->policy) {
		error_set(error, "out of memory");
		drop_in_free(file);
		return NULL;
	}
	file->config_path = config_path;
	if (make_name(policy, name, error) == 0)
		file->file = saved_file_open(config_path, name, CONFIG_TEXT_MAX, error);
	if (file->file)
		return file;
	drop_in_free(file);
	return NULL;
}

void drop_in_free(struct drop_in *file)
{
	if (!file)
		return;
	saved_file_free(file->file);
	free(file->policy);
	free(file);
}

bool drop_in_existed(const struct drop_in *file)
{
	return saved_file_text(file->file);
}

/* Does the file decide what the policy is? Of several files, the last one that names it does. */
static int check_last(const struct drop_in *file, struct error *error)
{
	const char *path = saved_file_path(file->file);
	struct config *config = config_default();
	size_t length = strlen(path);
	struct policy_spec **last;
	int result;

	if (!config)
		return error_set(error, "out of memory");
	result = config_load_drop_ins(file->config_path, config, error);
	last = find_policy(config, file->policy);
	if (result == 0 && last &&
	    (strncmp((*last)->where, path, length) != 0 || (*last)->where[length] != ':'))
		result = error_set(error,
				   "%s defines policy '%s' as well, and is read later; change it "
				   "there",
				   (*last)->where, file->policy);
	config_free(config);
	return result;
}

int drop_in_save(const struct drop_in *file, const struct policy_spec *spec, struct error *error)
{
	struct error ignored;
	char *text = render_section("# written by `icpctl policy add --save`\n", "policy", spec);
	int result;

	if (!text)
		return error_set(error, "out of memory");
	result = saved_file_write(file->file, text, strlen(text), error);
	free(text);
	if (result == 0 && check_last(file, error)) {
		saved_file_undo(file->file, &ignored);
		result = -1;
	}
	return result;
}

int drop_in_remove(const struct drop_in *file, struct error *error)
{
	return saved_file_remove(file->file, error);
}

int drop_in_undo(const struct drop_in *file, struct error *error)
{
	return saved_file_undo(file->file, error);
}

int drop_in_beneath(const struct drop_in *file, const struct config *running,
		    struct policy_spec **spec, struct error *error)
{
	struct config *config;
	struct policy_spec **found;
	int result;

	*spec = NULL;
	if (config_load_file(file->config_path, running, &config, error))
		return -1;
	result = load_all_but(saved_file_path(file->file), file->config_path, config, error);
	found = result ? NULL : find_policy(config, file->policy);
	if (found) {
		*spec = *found;
		*found = config->policies[--config->policy_count];
	}
	config_free(config);
	return result;
}
