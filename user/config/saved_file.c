// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/saved_file.h"
#include "lib/regular_file.h"
#include "lib/replace_file.h"
#include "lib/shell_quote.h"

struct saved_file {
	char directory[PATH_MAX], path[PATH_MAX];
	char *former; /* its text before a change, of `size` bytes; NULL: there was no file */
	size_t size;
};

static int read_former(struct saved_file *file, size_t max, struct error *error)
{
	struct error reason;

	if (access(file->path, F_OK) && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (regular_file_read(file->path, max, &file->former, &file->size, &reason))
		return error_set(error, "%s: cannot read: %s; let the daemon's user read it",
				 file->path, reason.text);
	return 0;
}

struct saved_file *saved_file_open(const char *config_path, const char *name, size_t max,
				   struct error *error)
{
	struct saved_file *file = calloc(1, sizeof(*file));
	int directory, path;

	if (!file) {
		error_set(error, "out of memory");
		return NULL;
	}
	directory = snprintf(file->directory, PATH_MAX, "%s.d", config_path);
	path = snprintf(file->path, PATH_MAX, "%s.d/%s", config_path, name);
	if (directory >= PATH_MAX || path >= PATH_MAX)
		error_set(error, "%s.d: the path is too long", config_path);
	else if (read_former(file, max, error) == 0)
		return file;
	saved_file_free(file);
	return NULL;
}

void saved_file_free(struct saved_file *file)
{
	if (!file)
		return;
	free(file->former);
	free(file);
}

const char *saved_file_path(const struct saved_file *file)
{
	return file->path;
}

const char *saved_file_text(const struct saved_file *file)
{
	return file->former;
}

/* Set the error of a change that errno has ended. */
static int fail(const struct saved_file *file, struct error *error)
{
	char quoted[SHELL_QUOTE_SIZE(PATH_MAX)];
	int reason = errno;

	if (reason == EACCES || reason == EPERM)
		return error_set(error, "%s: %s; as root: chown %u %s", file->path,
				 strerror(reason), geteuid(), shell_quote(file->directory, quoted));
	return error_set(error, "%s: %s; %s %s", file->path, strerror(reason),
			 reason == ENOSPC || reason == EDQUOT ? "free some space for"
			 : reason == EROFS		      ? "mount it for writing:"
							      : "let the daemon write into",
			 file->directory);
}

static int make_directory(const struct saved_file *file, struct error *error)
{
	char quoted[SHELL_QUOTE_SIZE(PATH_MAX)];

	if (mkdir(file->directory, 0755) == 0 || errno == EEXIST)
		return 0;
	return error_set(error, "%s: cannot be made: %s; as root: install -d -o %u %s",
			 file->directory, strerror(errno), geteuid(),
			 shell_quote(file->directory, quoted));
}

struct text {
	const char *bytes;
	size_t size;
};

static int write_text(FILE *stream, void *context)
{
	const struct text *text = context;

	return fwrite(text->bytes, 1, text->size, stream) == text->size ? 0 : -1;
}

/* Write or atomically replace the file. Return 0, or -1 with errno. */
static int replace(const struct saved_file *file, const char *text, size_t size)
{
	return replace_file(file->path, file->directory, write_text, &(struct text){ text, size });
}

/* Return 0, or -1 with errno. */
static int remove_file(const struct saved_file *file)
{
	return unlink(file->path) ? -1 : sync_directory(file->directory);
}

/* Restore what was there when the file was opened, whatever is there now. */
static int restore(const struct saved_file *file)
{
	return file->former ? replace(file, file->former, file->size) : remove_file(file);
}

int saved_file_write(const struct saved_file *file, const char *text, size_t size,
		     struct error *error)
{
	if (make_directory(file, error))
		return -1;
	if (replace(file, text, size) == 0)
		return 0;
	fail(file, error);
	restore(file);
	return -1;
}

int saved_file_remove(const struct saved_file *file, struct error *error)
{
	if (remove_file(file) == 0)
		return 0;
	fail(file, error);
	restore(file);
	return -1;
}

int saved_file_undo(const struct saved_file *file, struct error *error)
{
	return restore(file) ? fail(file, error) : 0;
}
