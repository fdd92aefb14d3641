// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "lib/pin_dir.h"
#include "lib/shell_quote.h"

#define REMEDY "name a directory in a bpffs, such as /sys/fs/bpf/xdp-icp"

static const char *problem_of(const char *path)
{
	const char *last = path;

	if (*path != '/')
		return "is not an absolute path";
	if (strlen(path) > PIN_DIR_MAX)
		return "is longer than 255 bytes";
	for (const char *c = path; *c; c++)
		if (!shell_is_plain(*c))
			return "has a character other than letters, digits and /._-+:@,%";
	for (const char *slash = path; slash; slash = strchr(slash + 1, '/')) {
		size_t length = strcspn(slash + 1, "/");

		last = slash + 1;
		if (length == 0)
			return "has an empty component";
		if (last[0] == '.' && (length == 1 || (length == 2 && last[1] == '.')))
			return "has a component '.' or '..'";
	}
	if (strchr(last, '.'))
		return "has a dot in its last component, which bpffs does not allow";
	return NULL;
}

int pin_dir_check(const char *path, struct error *error)
{
	const char *problem = problem_of(path);

	if (problem)
		return error_set(error, "'%.300s' %s; " REMEDY, path, problem);
	return 0;
}
