// SPDX-License-Identifier: GPL-2.0-or-later
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lib/privileges.h"

int user_find(const char *name, uid_t *uid, gid_t *gid, struct error *error)
{
	const struct passwd *entry;

	errno = 0;
	entry = getpwnam(name);
	if (!entry)
		return error_set(error, "user %s: %s; set `user` to one that exists", name,
				 errno ? strerror(errno) : "no such user");
	*uid = entry->pw_uid;
	*gid = entry->pw_gid;
	return 0;
}

static bool maps_need_capability(void)
{
	int major = 0, minor = 0;
	struct utsname name;

	uname(&name);
	if (sscanf(name.release, "%d.%d", &major, &minor) != 2)
		return false;
	return major < 5 || (major == 5 && minor < 19);
}

/* Keep a stream on a terminal for output alone. Returns 0, or -1 and errno. */
static int reopen_stream(int stream)
{
	char path[32];
	int fd, result;

	if (!isatty(stream))
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", stream);
	fd = stream == STDIN_FILENO ? open("/dev/null", O_RDONLY | O_CLOEXEC)
				    : open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	/* Without CAP_DAC_OVERRIDE, a terminal of another user: nothing of root's to protect. */
	if (fd < 0 && errno == EACCES)
		return 0;
	if (fd < 0)
		return -1;
	result = dup2(fd, stream);
	close(fd);
	return result < 0 ? -1 : 0;
}

/*
 * Leave root's terminal, in which the daemon may have been started. Code that runs as the user
 * could otherwise type into root's shell (TIOCSTI, which needs a controlling terminal), and read
 * what root types. A session leader keeps its terminal: no shell reads from it before the session
 * ends. Signals from the keyboard go to the process group, and still arrive.
 */
static int leave_terminal(struct error *error)
{
	int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	int failed = terminal >= 0 && getsid(0) != getpid() && ioctl(terminal, TIOCNOTTY);

	for (int stream = 0; stream <= STDERR_FILENO && !failed; stream++)
		failed = reopen_stream(stream);
	if (failed)
		error_set(error, "cannot leave the terminal: %s; start it from elsewhere",
			  strerror(errno));
	if (terminal >= 0)
		close(terminal);
	return failed ? -1 : 0;
}

int privileges_drop(uid_t uid, gid_t gid, struct error *error)
{
	if (uid == 0)
		return 0;
	if (leave_terminal(error))
		return -1;
	capng_clear(CAPNG_SELECT_BOTH);
	if (maps_need_capability())
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_BPF);
	if (capng_change_id(uid, gid, CAPNG_INIT_SUPP_GRP | CAPNG_CLEAR_BOUNDING))
		return error_set(error, "cannot become uid %u: %s", uid, strerror(errno));
	if (setuid(0) == 0)
		return error_set(error, "uid %u can become root again", uid);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return error_set(error, "cannot set no_new_privs: %s", strerror(errno));
	return 0;
}

/* Is `variable`, NAME=VALUE, of this name? */
static bool is_named(const char *variable, const char *name)
{
	size_t length = strlen(name);

	return strncmp(variable, name, length) == 0 && variable[length] == '=';
}

static bool is_kept(const char *variable, char *const *names, size_t count)
{
	static const char *const always[] = { "PATH", "TZ", "LANG" };

	if (strncmp(variable, "LC_", 3) == 0)
		return true;
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		if (is_named(variable, always[i]))
			return true;
	for (size_t i = 0; i < count; i++)
		if (is_named(variable, names[i]))
			return true;
	return false;
}

int environment_reduce(char *const *names, size_t count, struct error *error)
{
	size_t all = 0, kept = 0;
	char **reduced;

	while (environ && environ[all])
		all++;
	reduced = calloc(all + 1, sizeof(*reduced)); /* never freed */
	if (!reduced)
		return error_set(error, "out of memory");
	for (size_t i = 0; i < all; i++) {
		if (is_kept(environ[i], names, count))
			reduced[kept++] = environ[i];
		else
			explicit_bzero(environ[i], strlen(environ[i]));
	}
	environ = reduced;
	return 0;
}
