// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/etcd.h"
#include "cluster/saved_map.h"
#include "lib/path_safety.h"
#include "lib/regular_file.h"
#include "lib/replace_file.h"
#include "lib/shell_quote.h"

#define FILE_MAX ((size_t)UINT32_MAX) /* bytes; more than the bounds of a map allow */
#define PAUSE 1000		      /* milliseconds between two writes, at least */
#define PAUSE_FACTOR 10		      /* and so many times what one takes */
#define PAUSE_FAILED 10000	      /* milliseconds more after a failure */
#define TOUCH_PERIOD 60000	      /* milliseconds */

int saved_map_open(struct saved_map *saved, const char *directory, const char *cluster)
{
	*saved = (struct saved_map){ .next = 0 };
	return snprintf(saved->path, sizeof(saved->path), "%s/cluster-%s", directory, cluster) <
			       PATH_MAX - (int)sizeof(".new")
		       ? 0
		       : -1;
}

/* --- reading */

static const struct membership *read_opened(FILE *file, struct membership_head head,
					    uint64_t *lease, struct error *error)
{
	const struct membership *map = membership_read(file, &head, lease, error);
	const struct membership *dated = NULL;
	struct stat status;

	if (!map || fstat(fileno(file), &status) || status.st_mtime <= map->as_of)
		return map;
	head.revision = map->revision;
	head.as_of = status.st_mtime;
	dated = membership_make(map, NULL, &head, error);
	membership_unref(map);
	return dated;
}

const struct membership *saved_map_read(struct saved_map *saved, const struct membership_head *now,
					uint64_t *lease, struct error *error)
{
	const struct membership *map = NULL;
	char real[PATH_MAX];
	struct error reason;
	FILE *file;

	*lease = 0;
	error->text[0] = '\0';
	if (path_resolve_safe(saved->path, real, error)) {
		if (errno == ENOENT)
			error->text[0] = '\0';
		else
			error_prefix(error, "%s is not read: ", saved->path);
		return NULL;
	}
	file = regular_file_open(real, FILE_MAX, &reason);
	if (file) {
		map = read_opened(file, *now, lease, &reason);
		fclose(file);
	}
	if (!map)
		error_set(error, "%s: cannot be used: %s; remove it, etcd has the map", saved->path,
			  reason.text);
	return map;
}

/* --- writing, in a thread */

static int write_text(FILE *file, void *context)
{
	const struct saved_map *saved = context;

	return membership_write(saved->writing, saved->writing_lease, file);
}

static void write_map(struct saved_map *saved)
{
	char directory[PATH_MAX], real[PATH_MAX], quoted[SHELL_QUOTE_SIZE(PATH_MAX)];
	char path[2 * PATH_MAX];
	const char *name = strrchr(saved->path, '/') + 1;
	struct error *error = &saved->result;

	snprintf(directory, sizeof(directory), "%.*s", (int)(name - 1 - saved->path), saved->path);
	if (path_resolve_safe(directory, real, error)) {
		if (errno == ENOENT)
			error_set(error, "%s: %s; as root: install -d -o %u %s", directory,
				  strerror(ENOENT), geteuid(), shell_quote(directory, quoted));
		error_prefix(error, "the map is not saved: ");
		return;
	}
	snprintf(path, sizeof(path), "%s/%s", real, name);
	if (replace_file(path, real, write_text, saved))
		error_set(error,
			  "the map is not saved: %s: %s; let the daemon's user write into %s",
			  saved->path, strerror(errno), directory);
}

static void *run(void *context)
{
	struct saved_map *saved = context;

	pthread_setname_np(pthread_self(), "cluster-file");
	saved->result.text[0] = '\0';
	if (!saved->touches || utimensat(AT_FDCWD, saved->path, NULL, AT_SYMLINK_NOFOLLOW))
		write_map(saved);
	saved->done = true;
	return NULL;
}

/* --- in the cluster's thread */

static void start(struct saved_map *saved, uint64_t now)
{
	saved->writing = saved->map;
	saved->writing_lease = saved->lease;
	saved->map = NULL;
	saved->done = false;
	saved->next = now;
	saved->touched = now;
	saved->running = pthread_create(&saved->thread, NULL, run, saved) == 0;
	if (saved->running)
		return;
	saved->map = saved->writing;
	saved->writing = NULL;
	saved->touches = false;
	saved->next = now + PAUSE;
}

static void finish(struct saved_map *saved, uint64_t now)
{
	pthread_join(saved->thread, NULL);
	saved->running = false;
	saved->touches = false;
	saved->failure = saved->result;
	saved->next = now + PAUSE + PAUSE_FACTOR * (now - saved->next);
	if (saved->failure.text[0])
		saved->next += PAUSE_FAILED;
	if (saved->failure.text[0] && !saved->map)
		saved->map = saved->writing; /* again */
	else
		membership_unref(saved->writing);
	saved->writing = NULL;
}

void saved_map_put(struct saved_map *saved, const struct membership *map, uint64_t lease)
{
	const struct membership *former = saved->map;

	saved->map = membership_ref(map);
	saved->lease = lease;
	membership_unref(former);
}

bool saved_map_step(struct saved_map *saved, uint64_t now)
{
	if (saved->running && saved->done)
		finish(saved, now);
	if (!saved->running && saved->map && now >= saved->next)
		start(saved, now);
	return (!saved->running || saved->touches) && !saved->map;
}

void saved_map_confirm(struct saved_map *saved, const struct membership *map, uint64_t lease,
		       uint64_t now)
{
	if (saved->running || saved->map || now < saved->touched + TOUCH_PERIOD)
		return;
	saved_map_put(saved, map, lease);
	saved->touches = true;
	start(saved, now);
}

void saved_map_close(struct saved_map *saved)
{
	if (saved->running)
		finish(saved, etcd_now());
	if (saved->map) {
		saved->writing = saved->map;
		saved->writing_lease = saved->lease;
		write_map(saved);
		membership_unref(saved->map);
		saved->map = NULL;
	}
}
