// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/directory.h"

#define SUFFIX ".conf"

static int is_configuration(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name), suffix = strlen(SUFFIX);

	return entry->d_name[0] != '.' && length > suffix &&
	       strcmp(entry->d_name + length - suffix, SUFFIX) == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

void directory_free(char **paths, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(paths[i]);
	free(paths);
}

int directory_list(const char *directory, char ***paths, size_t *count)
{
	struct dirent **entries;
	int found = scandir(directory, &entries, is_configuration, by_name);
	bool failed;

	if (found < 0)
		return -1;
	*count = 0;
	*paths = calloc((size_t)found + 1, sizeof(**paths));
	failed = !*paths;
	for (int i = 0; i < found; i++) {
		char *path;

		if (!failed && asprintf(&path, "%s/%s", directory, entries[i]->d_name) < 0)
			failed = true;
		if (!failed)
			(*paths)[(*count)++] = path;
		free(entries[i]);
	}
	free(entries);
	if (!failed)
		return 0;
	if (*paths)
		directory_free(*paths, *count);
	errno = ENOMEM;
	return -1;
}
