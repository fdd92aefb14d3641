// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/directory.h"
#include "config/dropin.h"
#include "config/render.h"
#include "config/options.h"
#include "lib/regular_file.h"
#include "lib/shell_quote.h"
#include "lib/vec.h"

#define SUFFIX ".conf"

struct drop_in {
	const char *config_path;
	char *name; /* of the policy */
	char directory[PATH_MAX], path[PATH_MAX];
	char *former; /* its text before a change, of `size` bytes; NULL: there was no file */
	size_t size;
};

/* --- all files */

static struct policy_spec **find_policy(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->policy_count; i++)
		if (strcmp(config->policies[i]->name, name) == 0)
			return &config->policies[i];
	return NULL;
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

/* --- the text of a file */

static int render(const struct policy_spec *spec, char **text, size_t *size)
{
	FILE *out = open_memstream(text, size);
	bool failed;

	if (!out)
		return -1;
	fputs("# written by `icpctl policy add --save`\n", out);
	render_policy(out, spec);
	failed = ferror(out);
	return fclose(out) || failed ? -1 : 0;
}

/* --- one file */

/* Build the path of a policy's file: bytes other than letters, digits, '-' and '_' become %HH. */
static int make_path(struct drop_in *file, struct error *error)
{
	size_t used = snprintf(file->path, PATH_MAX, "%s/", file->directory);
	const char *name = file->name;

	for (; *name && used + 8 + sizeof(SUFFIX) < PATH_MAX; name++) {
		unsigned char c = *name;

		used += snprintf(file->path + used, PATH_MAX - used,
				 isalnum(c) || c == '-' || c == '_' ? "%c" : "%%%02x", c);
	}
	if (*name)
		return error_set(error, "the name is too long for a file of its own");
	snprintf(file->path + used, PATH_MAX - used, SUFFIX);
	return 0;
}

static int read_former(struct drop_in *file, struct error *error)
{
	struct error reason;

	if (access(file->path, F_OK) && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (regular_file_read(file->path, CONFIG_TEXT_MAX, &file->former, &file->size, &reason))
		return error_set(error, "%s: cannot read: %s; let the daemon's user read it",
				 file->path, reason.text);
	return 0;
}

struct drop_in *drop_in_open(const char *config_path, const char *name, struct error *error)
{
	struct drop_in *file = calloc(1, sizeof(*file));

	if (file)
		file->name = strdup(name);
	if (!file || !file->name) {
		error_set(error, "out of memory");
		drop_in_free(file);
		return NULL;
	}
	file->config_path = config_path;
	snprintf(file->directory, sizeof(file->directory), "%s.d", config_path);
	if (make_path(file, error) || read_former(file, error)) {
		drop_in_free(file);
		return NULL;
	}
	return file;
}

void drop_in_free(struct drop_in *file)
{
	if (!file)
		return;
	free(file->former);
	free(file->name);
	free(file);
}

bool drop_in_existed(const struct drop_in *file)
{
	return file->former;
}

/* Set the error of a change that errno has ended. */
static int fail(const struct drop_in *file, struct error *error)
{
	char quoted[SHELL_QUOTE_SIZE(PATH_MAX)];
	int reason = errno;

	if (reason == EACCES || reason == EPERM)
		return error_set(error, "%s: %s; as root: chown %u %s", file->path,
				 strerror(reason), geteuid(), shell_quote(file->directory, quoted));
	return error_set(error, "%s: %s; let the daemon write into %s", file->path,
			 strerror(reason), file->directory);
}

static int make_directory(const struct drop_in *file, struct error *error)
{
	char quoted[SHELL_QUOTE_SIZE(PATH_MAX)];

	if (mkdir(file->directory, 0755) == 0 || errno == EEXIST)
		return 0;
	return error_set(error, "%s: cannot be made: %s; as root: install -d -o %u %s",
			 file->directory, strerror(errno), geteuid(),
			 shell_quote(file->directory, quoted));
}

static int write_bytes(int fd, const char *text, size_t size)
{
	while (size) {
		ssize_t done = write(fd, text, size);

		if (done < 0)
			return -1;
		text += done;
		size -= (size_t)done;
	}
	return fsync(fd);
}

/* Make sure that what was renamed or removed remains so after a crash. */
static int sync_directory(const struct drop_in *file)
{
	int fd = open(file->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = fd < 0 ? -1 : fsync(fd);

	if (fd >= 0)
		close(fd);
	return result;
}

/* Write or atomically replace the file. Return 0, or -1 with errno. */
static int replace_file(const struct drop_in *file, const char *text, size_t size)
{
	char new_path[PATH_MAX + 4];
	int fd, reason;

	snprintf(new_path, sizeof(new_path), "%s.new", file->path);
	unlink(new_path); /* a daemon that was killed has left it */
	fd = open(new_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -1;
	reason = write_bytes(fd, text, size) ? errno : 0;
	if (close(fd) && !reason)
		reason = errno;
	if (!reason && rename(new_path, file->path) == 0)
		return sync_directory(file);
	if (!reason)
		reason = errno;
	unlink(new_path);
	errno = reason;
	return -1;
}

/* Does the file decide what the policy is? Of several files, the last one that names it does. */
static int check_last(const struct drop_in *file, struct error *error)
{
	struct config *config = config_default();
	struct policy_spec **last;
	int result;

	if (!config)
		return error_set(error, "out of memory");
	result = config_load_drop_ins(file->config_path, config, error);
	last = find_policy(config, file->name);
	if (result == 0 && last && strncmp((*last)->where, file->path, strlen(file->path)) != 0)
		result = error_set(error,
				   "%s defines policy '%s' as well, and is read later; change it "
				   "there",
				   (*last)->where, file->name);
	config_free(config);
	return result;
}

/* Return 0, or -1 with errno. */
static int remove_file(const struct drop_in *file)
{
	return unlink(file->path) ? -1 : sync_directory(file);
}

/* Restore what was there when the file was opened, whatever is there now. */
static int restore(const struct drop_in *file)
{
	return file->former ? replace_file(file, file->former, file->size) : remove_file(file);
}

int drop_in_save(const struct drop_in *file, const struct policy_spec *spec, struct error *error)
{
	char *text = NULL;
	size_t size;
	int result;

	if (make_directory(file, error))
		return -1;
	if (render(spec, &text, &size))
		return error_set(error, "out of memory");
	result = replace_file(file, text, size) ? fail(file, error) : check_last(file, error);
	if (result)
		restore(file);
	free(text);
	return result;
}

int drop_in_remove(const struct drop_in *file, struct error *error)
{
	if (remove_file(file) == 0)
		return 0;
	fail(file, error);
	restore(file);
	return -1;
}

int drop_in_undo(const struct drop_in *file, struct error *error)
{
	return restore(file) ? fail(file, error) : 0;
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
	result = load_all_but(file->path, file->config_path, config, error);
	found = result ? NULL : find_policy(config, file->name);
	if (found) {
		*spec = *found;
		*found = config->policies[--config->policy_count];
	}
	config_free(config);
	return result;
}
