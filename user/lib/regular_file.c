// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/regular_file.h"

static int check_file(int fd, size_t max, struct error *reason)
{
	struct stat status;

	if (fstat(fd, &status))
		return error_set(reason, "%s", strerror(errno));
	if (S_ISDIR(status.st_mode))
		return error_set(reason, "%s", strerror(EISDIR));
	if (!S_ISREG(status.st_mode))
		return error_set(reason, "not a regular file");
	if ((size_t)status.st_size > max)
		return error_set(reason, "more than %zu bytes", max);
	return 0;
}

int regular_file_descriptor(const char *path, size_t max, struct error *reason)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	/* ENXIO: a socket, or a device without a driver. */
	if (fd < 0)
		return error_set(reason, "%s",
				 errno == ENXIO ? "not a regular file" : strerror(errno));
	if (check_file(fd, max, reason) == 0)
		return fd;
	close(fd);
	errno = EINVAL;
	return -1;
}

FILE *regular_file_open(const char *path, size_t max, struct error *reason)
{
	int fd = regular_file_descriptor(path, max, reason);
	FILE *stream = fd < 0 ? NULL : fdopen(fd, "r");

	if (fd >= 0 && !stream) {
		error_set(reason, "%s", strerror(errno));
		close(fd);
	}
	return stream;
}

/* Files of /proc have no size, and any file may grow: read to the end, or one byte over `max`. */
static int read_all(FILE *stream, size_t max, char **text, size_t *size, struct error *reason)
{
	size_t room = 4096;

	*size = 0;
	*text = malloc(room);
	while (*text && *size <= max && !feof(stream) && !ferror(stream)) {
		char *grown = *size + 1 < room ? *text : realloc(*text, room *= 2);

		if (!grown)
			return error_set(reason, "out of memory");
		*text = grown;
		*size += fread(*text + *size, 1, room - *size - 1, stream);
	}
	if (!*text)
		return error_set(reason, "out of memory");
	if (ferror(stream))
		return error_set(reason, "%s", strerror(errno));
	if (*size > max)
		return error_set(reason, "more than %zu bytes", max);
	(*text)[*size] = '\0';
	return 0;
}

int regular_file_read(const char *path, size_t max, char **text, size_t *size, struct error *reason)
{
	FILE *stream = regular_file_open(path, max, reason);
	int result;

	*text = NULL;
	if (!stream)
		return -1;
	result = read_all(stream, max, text, size, reason);
	if (result) {
		free(*text);
		*text = NULL;
	}
	fclose(stream);
	return result;
}
