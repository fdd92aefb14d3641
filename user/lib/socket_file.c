// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/path_safety.h"
#include "lib/socket_file.h"

#define PATH_SIZE sizeof(((struct sockaddr_un *)0)->sun_path)

/* Store the directory of a socket's path. */
static void directory_of(const char *path, char directory[PATH_SIZE])
{
	char *slash;

	snprintf(directory, PATH_SIZE, "%s", path);
	slash = strrchr(directory, '/');
	if (slash)
		slash[slash == directory] = '\0';
	else
		strcpy(directory, ".");
}

/* Can only root change the directory, and what its path leads to? */
static bool only_root_can_write(const char *directory)
{
	char real[PATH_MAX];
	struct error ignored;
	struct stat status;

	return path_is_roots(directory) && path_resolve_safe(directory, real, &ignored) == 0 &&
	       lstat(real, &status) == 0 && status.st_uid == 0 &&
	       !(status.st_mode & (S_IWGRP | S_IWOTH));
}

/* Change the owner of a path within a directory that only root can write. */
static int set_owner(const char *path, int flags, uid_t uid, gid_t gid, struct error *error)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC | flags);
	int failed = fd < 0 || fchownat(fd, "", uid, gid, AT_EMPTY_PATH);

	if (failed)
		error_set(error, "%s: cannot change the owner to uid %u: %s", path, uid,
			  strerror(errno));
	if (fd >= 0)
		close(fd);
	return failed ? -1 : 0;
}

/* Create a directory, and if `give` is set, make it the user's; not one that has appeared meanwhile. */
static int make_directory(const struct socket_use *use, const char *directory, bool give, uid_t uid,
			  gid_t gid, struct error *error)
{
	if (mkdir(directory, 0755) == 0)
		return give ? set_owner(directory, O_DIRECTORY, uid, gid, error) : 0;
	if (errno == EEXIST)
		return 0;
	return error_set(error,
			 "%s: cannot create the directory: %s; create it, or set `%s` to a path "
			 "where the daemon may write",
			 directory, strerror(errno), use->setting);
}

/* Create missing directories; as root only within those that only root can write. */
static int make_directories(const struct socket_use *use, const char *path, bool as_root, uid_t uid,
			    gid_t gid, struct error *error)
{
	char directory[PATH_SIZE], above[PATH_SIZE];
	struct stat status;

	snprintf(directory, sizeof(directory), "%s", path);
	for (char *slash = strchr(directory + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (stat(directory, &status) && errno == ENOENT) {
			directory_of(directory, above);
			if (as_root && !only_root_can_write(above))
				return 0;
			if (make_directory(use, directory, as_root && !strchr(slash + 1, '/'), uid,
					   gid, error))
				return -1;
		}
		*slash = '/';
	}
	return 0;
}

/* Does a process have such a socket there? 1 yes, 0 no, or -1 and errno. */
static int is_live(const struct socket_use *use, const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, use->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int result;

	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	    errno == EAGAIN) /* its backlog is full */
		result = 1;
	else
		result = errno == ECONNREFUSED || errno == ENOENT ? 0 : -1;
	close(fd);
	return result;
}

/* Remove a stale socket at the path. Anything else there is an error. */
static int remove_stale(const struct socket_use *use, const struct sockaddr_un *address,
			struct error *error)
{
	const char *path = address->sun_path;
	struct stat status;

	if (lstat(path, &status)) {
		if (errno == ENOENT)
			return 0;
		return error_set(error, "%s: %s; set `%s` to another path", path, strerror(errno),
				 use->setting);
	}
	if (!S_ISSOCK(status.st_mode))
		return error_set(error,
				 "%s: exists and is not a socket; remove it, or set `%s` to "
				 "another path",
				 path, use->setting);
	switch (is_live(use, address)) {
	case 0:
		break;
	case 1:
		return error_set(error,
				 "%s: another daemon listens there; stop it, or set `%s` to "
				 "another path",
				 path, use->setting);
	default:
		return error_set(error,
				 "%s: cannot tell whether another daemon listens there: %s; remove "
				 "it if none does",
				 path, strerror(errno));
	}
	if (unlink(path) && errno != ENOENT)
		return error_set(error, "%s: cannot remove the stale socket: %s", path,
				 strerror(errno));
	return 0;
}

/* Bind a socket. The umask sets its mode, since chmod() would follow the name. */
static int bind_socket(struct socket_file *name, const struct socket_use *use, struct error *error)
{
	const struct sockaddr_un *address = &name->address;
	struct stat status;
	mode_t mask;
	int failed;

	name->fd = socket(AF_UNIX, use->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (name->fd < 0)
		return error_set(error, "%s: cannot create a socket: %s", address->sun_path,
				 strerror(errno));
	mask = umask(0777 & ~use->mode);
	failed = bind(name->fd, (const struct sockaddr *)address, sizeof(*address));
	umask(mask);
	if (failed || lstat(address->sun_path, &status)) {
		error_set(error,
			  "%s: cannot bind the %s: %s; let the daemon's user write into its "
			  "directory, or set `%s` to another path",
			  address->sun_path, use->name, strerror(errno), use->setting);
		close(name->fd);
		name->fd = -1;
		return -1;
	}
	name->device = status.st_dev;
	name->inode = status.st_ino;
	return 0;
}

static int set_path(struct socket_file *name, const struct socket_use *use, const char *path,
		    struct error *error)
{
	*name = (struct socket_file){ .fd = -1, .address.sun_family = AF_UNIX };
	if (!*path || strlen(path) >= sizeof(name->address.sun_path))
		return error_set(error, "%s '%s': the path must have 1 to %zu bytes", use->name,
				 path, sizeof(name->address.sun_path) - 1);
	memcpy(name->address.sun_path, path, strlen(path) + 1);
	return 0;
}

int socket_file_prepare(struct socket_file *name, const struct socket_use *use, const char *path,
			uid_t uid, gid_t gid, struct error *error)
{
	char directory[PATH_SIZE];

	if (set_path(name, use, path, error) || make_directories(use, path, true, uid, gid, error))
		return -1;
	directory_of(path, directory);
	if (!only_root_can_write(directory))
		return 0;
	if (remove_stale(use, &name->address, error) || bind_socket(name, use, error))
		return -1;
	return set_owner(path, 0, uid, gid, error);
}

int socket_file_bind(struct socket_file *name, const struct socket_use *use, const char *path,
		     struct error *error)
{
	char directory[PATH_SIZE], real[PATH_MAX];

	if (name->fd >= 0)
		return 0;
	if (set_path(name, use, path, error) || make_directories(use, path, false, 0, 0, error))
		return -1;
	directory_of(path, directory);
	if (geteuid() == 0 && path_resolve_safe(directory, real, error))
		return error_prefix(error, "%s %s: ", use->name, path);
	if (remove_stale(use, &name->address, error))
		return -1;
	return bind_socket(name, use, error);
}

bool socket_file_is_there(const struct socket_file *name)
{
	struct stat status;

	return lstat(name->address.sun_path, &status) == 0 && status.st_dev == name->device &&
	       status.st_ino == name->inode;
}

void socket_file_unlink(const struct socket_file *name)
{
	if (socket_file_is_there(name))
		unlink(name->address.sun_path);
}
