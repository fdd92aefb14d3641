// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control_socket.h"

static int make_directories(const char *path, struct error *error)
{
	char directory[sizeof(((struct sockaddr_un *)0)->sun_path)];

	snprintf(directory, sizeof(directory), "%s", path);
	for (char *slash = strchr(directory + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(directory, 0755) && errno != EEXIST)
			return error_set(error,
					 "%s: cannot create the directory: %s; create it, or set "
					 "`control` to a path where the daemon may write",
					 directory, strerror(errno));
		*slash = '/';
	}
	return 0;
}

/* Does somebody answer? 1 yes, 0 no, or -1 and errno. */
static int is_live(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int result;

	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	    errno == EAGAIN) /* its queue is full */
		result = 1;
	else
		result = errno == ECONNREFUSED || errno == ENOENT ? 0 : -1;
	close(fd);
	return result;
}

static int clear_place(const struct sockaddr_un *address, struct error *error)
{
	const char *path = address->sun_path;
	struct stat status;

	if (lstat(path, &status)) {
		if (errno == ENOENT)
			return 0;
		return error_set(error, "%s: %s; set `control` to another path", path,
				 strerror(errno));
	}
	if (!S_ISSOCK(status.st_mode))
		return error_set(error,
				 "%s: exists and is no socket; remove it, or set `control` to "
				 "another path",
				 path);
	switch (is_live(address)) {
	case 0:
		break;
	case 1:
		return error_set(error,
				 "%s: another daemon answers there; stop it, or set `control` to "
				 "another path",
				 path);
	default:
		return error_set(error,
				 "%s: cannot tell whether another daemon answers there: %s; remove "
				 "it if none does",
				 path, strerror(errno));
	}
	if (unlink(path) && errno != ENOENT)
		return error_set(error, "%s: cannot remove the socket that a daemon left: %s", path,
				 strerror(errno));
	return 0;
}

/* Returns a socket bound to the address, or -1. */
static int bind_socket(const struct sockaddr_un *address, struct error *error)
{
	const char *path = address->sun_path;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return error_set(error, "%s: cannot make a socket: %s", path, strerror(errno));
	/* Never open to more than in the end: the file takes over the mode less the umask. */
	if (fchmod(fd, 0660) || bind(fd, (const struct sockaddr *)address, sizeof(*address))) {
		error_set(error,
			  "%s: cannot bind the control socket: %s; set `control` to a path where "
			  "the daemon may write",
			  path, strerror(errno));
		close(fd);
		return -1;
	}
	if (chmod(path, 0660)) {
		error_set(error, "%s: cannot set the mode: %s", path, strerror(errno));
		unlink(path);
		close(fd);
		return -1;
	}
	return fd;
}

int control_socket_bind(struct control_socket *name, const char *path, struct error *error)
{
	struct stat status;
	int fd;

	*name = (struct control_socket){ .address.sun_family = AF_UNIX };
	if (!*path || strlen(path) >= sizeof(name->address.sun_path))
		return error_set(error, "control socket '%s': the path must have 1 to %zu bytes",
				 path, sizeof(name->address.sun_path) - 1);
	memcpy(name->address.sun_path, path, strlen(path) + 1);
	if (make_directories(path, error) || clear_place(&name->address, error))
		return -1;
	fd = bind_socket(&name->address, error);
	if (fd < 0)
		return -1;
	if (lstat(path, &status)) {
		close(fd);
		return error_set(error, "%s: %s", path, strerror(errno));
	}
	name->device = status.st_dev;
	name->inode = status.st_ino;
	return fd;
}

void control_socket_unlink(const struct control_socket *name)
{
	struct stat status;

	if (lstat(name->address.sun_path, &status) == 0 && status.st_dev == name->device &&
	    status.st_ino == name->inode)
		unlink(name->address.sun_path);
}
