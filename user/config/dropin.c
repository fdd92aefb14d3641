// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/dropin.h"
#include "lib/vec.h"

#define SUFFIX ".conf"

/*
 * Add a policy to a configuration, replacing one of the same name. Takes ownership of the spec,
 * unless it returns -1: out of memory.
 */
static int replace_policy(struct config *config, struct policy_spec *spec)
{
	struct policy_spec **added;

	for (size_t i = 0; i < config->policy_count; i++) {
		if (strcmp(config->policies[i]->name, spec->name) != 0)
			continue;
		policy_spec_free(config->policies[i]);
		config->policies[i] = spec;
		return 0;
	}
	added = vec_append(config->policies, config->policy_count);
	if (!added)
		return -1;
	*added = spec;
	return 0;
}

/* Build the path of a policy's file: bytes other than letters, digits, '-' and '_' become %HH. */
static int make_path(const char *config_path, const char *name, char path[PATH_MAX],
		     struct error *error)
{
	size_t used = snprintf(path, PATH_MAX, "%s.d/", config_path);

	for (; *name && used + 8 + sizeof(SUFFIX) < PATH_MAX; name++) {
		unsigned char c = *name;

		used += snprintf(path + used, PATH_MAX - used,
				 isalnum(c) || c == '-' || c == '_' ? "%c" : "%%%02x", c);
	}
	if (*name)
		return error_set(error, "the name is too long for a file of its own");
	snprintf(path + used, PATH_MAX - used, SUFFIX);
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

static int is_drop_in(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name), suffix = strlen(SUFFIX);

	return entry->d_name[0] != '.' && length > suffix &&
	       strcmp(entry->d_name + length - suffix, SUFFIX) == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

int config_load_drop_ins(const char *config_path, struct config *config, struct error *error)
{
	char directory[PATH_MAX], path[PATH_MAX + NAME_MAX + 2];
	struct dirent **entries;
	int count, result = 0;

	snprintf(directory, sizeof(directory), "%s.d", config_path);
	count = scandir(directory, &entries, is_drop_in, by_name);
	if (count < 0) {
		if (errno == ENOENT)
			return 0;
		return error_set(error, "%s: cannot read: %s; let the daemon's user read it",
				 directory, strerror(errno));
	}
	for (int i = 0; i < count; i++) {
		struct config *part = NULL;

		snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name);
		free(entries[i]);
		if (result)
			continue;
		result = config_load_drop_in(path, &part, error);
		if (result == 0)
			result = move_policies(config, part, error);
		config_free(part);
	}
	free(entries);
	return result;
}

int config_load(const char *path, struct config **config, struct error *error)
{
	if (config_load_file(path, config, error))
		return -1;
	if (config_load_drop_ins(path, *config, error) == 0)
		return 0;
	config_free(*config);
	*config = NULL;
	return -1;
}

/* In double quotes any byte can be written as \xHH; do so for all but harmless ones. */
static void print_quoted(FILE *out, const char *text)
{
	putc('"', out);
	for (; *text; text++) {
		unsigned char c = *text;

		if (isalnum(c) || strchr(" !#%&()*+,-./:;<=>?@[]^_|~", c))
			putc(c, out);
		else
			fprintf(out, "\\x%02x", c);
	}
	putc('"', out);
}

static void print_spec(FILE *out, const struct policy_spec *spec)
{
	fprintf(out, "# written by `icpctl policy add --save`\npolicy ");
	print_quoted(out, spec->name);
	fprintf(out, " {\n");
	for (size_t i = 0; i < spec->count; i++) {
		const struct spec_setting *setting = &spec->settings[i];

		fprintf(out, "\t%s = {", setting->key);
		for (size_t k = 0; k < setting->count; k++) {
			fprintf(out, k ? ", " : " ");
			print_quoted(out, setting->values[k].text);
		}
		fprintf(out, " }\n");
	}
	fprintf(out, "}\n");
}

int drop_in_save(const char *config_path, const struct policy_spec *spec, struct error *error)
{
	char directory[PATH_MAX], path[PATH_MAX], new_path[PATH_MAX + 4];
	FILE *out;
	int failed;

	if (make_path(config_path, spec->name, path, error))
		return -1;
	snprintf(directory, sizeof(directory), "%s.d", config_path);
	snprintf(new_path, sizeof(new_path), "%s.new", path);
	if (mkdir(directory, 0755) && errno != EEXIST)
		return error_set(error,
				 "%s: cannot be made: %s; make it, and let the daemon's user write "
				 "into it",
				 directory, strerror(errno));
	out = fopen(new_path, "we");
	if (!out)
		return error_set(error, "%s: %s; let the daemon's user write into %s", new_path,
				 strerror(errno), directory);
	print_spec(out, spec);
	failed = fflush(out) || fsync(fileno(out));
	if (fclose(out) || failed || rename(new_path, path)) {
		error_set(error, "%s: %s", path, strerror(errno));
		unlink(new_path);
		return -1;
	}
	return 0;
}

int drop_in_remove(const char *config_path, const char *name, struct error *error)
{
	char path[PATH_MAX];

	if (make_path(config_path, name, path, error))
		return -1;
	if (unlink(path) == 0)
		return 0;
	if (errno == ENOENT || errno == ENOTDIR)
		return 1;
	return error_set(error, "%s: %s", path, strerror(errno));
}
