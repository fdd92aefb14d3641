// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "lib/replace_file.h"

int sync_directory(const char *directory)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = fd < 0 ? -1 : fsync(fd);

	if (fd >= 0)
		close(fd);
	return result;
}

static int write_new(const char *path, replace_file_write write, void *context)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644), reason = 0;
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	if (!file) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	if (write(file, context) || fflush(file) || fsync(fd))
		reason = errno;
	if (fclose(file) && !reason)
		reason = errno;
	errno = reason;
	return reason ? -1 : 0;
}

int replace_file(const char *path, const char *directory, replace_file_write write, void *context)
{
	char new_path[PATH_MAX];
	int reason;

	errno = ENAMETOOLONG;
	if (snprintf(new_path, sizeof(new_path), "%s.new", path) >= PATH_MAX)
		return -1;
	unlink(new_path); /* a daemon that was killed has left it */
	if (write_new(new_path, write, context) == 0 && rename(new_path, path) == 0)
		return sync_directory(directory);
	reason = errno;
	unlink(new_path);
	errno = reason;
	return -1;
}
