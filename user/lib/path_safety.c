// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/path_safety.h"
#include "lib/shell_quote.h"

/* The group's bits include what an access control list grants to anyone. */
static bool others_may_write(const struct stat *status)
{
	if (S_ISDIR(status->st_mode) && status->st_mode & S_ISVTX)
		return false;
	return status->st_mode & (S_IWGRP | S_IWOTH);
}

/* Check a single file or directory, without those above it. */
static int check(const char *name, struct error *error)
{
	struct stat status;

	if (lstat(name, &status))
		return error_set(error, "%s: %s", name, strerror(errno));
	errno = EPERM;
	if (status.st_uid != 0 && status.st_uid != geteuid())
		return error_set(error,
				 "%s belongs to uid %u, who could change it; `chown root %s`", name,
				 status.st_uid, name);
	if (others_may_write(&status))
		return error_set(error,
				 "%s can be written by its group or by others (mode %04o); `chmod "
				 "go-w %s`",
				 name, status.st_mode & 07777, name);
	return 0;
}

bool path_is_roots(const char *path)
{
	char name[PATH_MAX], real[PATH_MAX];
	bool sticky = false; /* the directory that holds this part: others can create files there */
	struct error ignored;

	if (strlen(path) >= sizeof(name))
		return false;
	strcpy(name, path);
	for (char *slash = strchr(name + 1, '/');; slash = strchr(slash + 1, '/')) {
		struct stat status;

		if (slash)
			*slash = '\0';
		if (lstat(name, &status) || status.st_uid != 0)
			return false;
		/* What comes next lies where the link leads. */
		if (S_ISLNK(status.st_mode) &&
		    (sticky || path_resolve_safe(name, real, &ignored) || lstat(real, &status)))
			return false;
		if (others_may_write(&status))
			return false;
		if (!slash)
			return true;
		sticky = status.st_mode & (S_IWGRP | S_IWOTH);
		*slash = '/';
	}
}

int path_resolve_safe(const char *path, char real[PATH_MAX], struct error *error)
{
	char name[PATH_MAX];

	if (!realpath(path, real))
		return error_set(error, "%s: %s", path, strerror(errno));
	strcpy(name, real);
	for (;;) {
		char *slash = strrchr(name, '/');

		if (check(name, error))
			return -1;
		if (slash[1] == '\0')
			return 0;
		slash[slash == name] = '\0';
	}
}
