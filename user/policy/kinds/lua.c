// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * `function check(url, source)` in the script `file` returns the name of a verdict, or nil for none.
 * The script runs in children (xdp-icp-lua), which receive it as their greeting: a change of the
 * file takes effect at the next reload, for all of them at once.
 */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "helper/child.h"
#include "policy/child.h"
#include "policy/kinds.h"
#include "lib/regular_file.h"

#define PROGRAM "xdp-icp-lua"
#define TIMEOUT 1000	    /* milliseconds */
#define LOAD_TIMEOUT 3000   /* milliseconds, for the code outside of functions */
#define FILE_MAX (4u << 20) /* bytes */
#define HEADER_MAX 16	    /* bytes of the line before the script */

/*
 * Find the program relative to the running executable, installed or in a build directory. Returns
 * an allocated path, or NULL with an error.
 */
static char *find_program(struct error *error)
{
	static const char *const places[] = {
		"../libexec/xdp-icp", /* beside PREFIX/sbin */
		".", "..",	      /* of the tests' build directory */
	};
	char self[PATH_MAX] = "";
	const char *directory;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0) {
		error_set(error, "/proc/self/exe: %s", strerror(errno));
		return NULL;
	}
	directory = dirname(self);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char *path;

		if (asprintf(&path, "%s/%s/" PROGRAM, directory, places[i]) < 0)
			break;
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	error_set(error,
		  PROGRAM " is neither in %s nor in %s/../libexec/xdp-icp; run `make install`",
		  directory, directory);
	return NULL;
}

static int set_arguments(struct policy_child *child, const char *file, struct error *error)
{
	child->arguments = calloc(3, sizeof(child->arguments[0]));
	if (!child->arguments)
		return error_set(error, "out of memory");
	child->arguments[0] = find_program(error);
	if (!child->arguments[0])
		return -1;
	child->arguments[1] = strdup(file); /* for messages */
	return child->arguments[1] ? 0 : error_set(error, "out of memory");
}

/* The length of the script, the script, and an empty line, which asks whether it could be loaded. */
static int set_greeting(struct policy_child *child, const char *text, size_t length,
			struct error *error)
{
	char *end;

	child->greeting = malloc(HEADER_MAX + length + 1);
	if (!child->greeting)
		return error_set(error, "out of memory");
	end = child->greeting + snprintf(child->greeting, HEADER_MAX, "%zu\n", length);
	end = mempcpy(end, text, length);
	*end++ = '\n';
	child->greeting_length = end - child->greeting;
	return 0;
}

static int check_script(const struct policy_child *child, struct error *error)
{
	char reply[HELPER_REPLY_MAX];
	const struct helper_run run = {
		.arguments = child->arguments,
		.input = child->greeting,
		.input_length = child->greeting_length,
		.timeout = LOAD_TIMEOUT,
	};

	if (helper_run(&run, reply, sizeof(reply), error))
		return error_prefix(error,
				    "%s: cannot be loaded (the code outside of functions has %u "
				    "ms): ",
				    child->arguments[1], LOAD_TIMEOUT);
	reply[strcspn(reply, "\n")] = '\0';
	if (strcmp(reply, "-") == 0)
		return 0;
	if (strncmp(reply, "! ", 2) == 0)
		return error_set(error, "%s", reply + 2);
	return error_set(error, "%s: cannot be loaded; the log tells why", child->arguments[1]);
}

static int read_script(struct policy_child *child, const struct policy_spec *spec,
		       struct error *error)
{
	const struct spec_value *file;
	struct error reason;
	size_t length;
	char *text;
	int result;

	if (policy_spec_text(spec, "file", &file, error) < 0)
		return -1;
	if (regular_file_read(file->text, FILE_MAX, &text, &length, &reason))
		return error_set(error,
				 "%s: policy '%s': cannot read the script '%s': %s; name a file "
				 "of at most 4 MiB that the daemon may read",
				 file->where, spec->name, file->text, reason.text);
	if (set_arguments(child, file->text, error))
		result = error_prefix(error, "%s: policy '%s': ", file->where, spec->name);
	else
		result = set_greeting(child, text, length, error);
	free(text);
	return result ? result : check_script(child, error);
}

static int create(struct policy *policy, const struct policy_spec *spec, struct error *error)
{
	struct policy_child *child = policy_child_create(policy, spec, TIMEOUT, error);

	if (!child)
		return -1;
	/* Kill the child at the timeout already: the script may never end. */
	child->stall = child->timeout;
	return read_script(child, spec, error);
}

static const struct policy_setting settings[] = {
	{ "file", "the script, which defines 'function check(url, source)'", .required = true },
	{ "children", "number of processes, 1 to 64; default 2" },
	{ "timeout",
	  "limit for a result, after which the script is killed, 1ms to 10s; default 1s" },
	{ "ttl",
	  "how long a result may be remembered, from the question on, in whole seconds up to "
	  "24h; default: not at all" },
	{ "instructions", "a number of them", .replaced_by = "timeout" },
	{ NULL },
};

const struct policy_kind policy_lua = {
	.name = "lua",
	.help = "check(url, source) in a Lua script returns a verdict",
	.settings = settings,
	.create = create,
	POLICY_CHILD_KIND,
};
