// SPDX-License-Identifier: GPL-2.0-or-later
#include <cap-ng.h>
#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "privileges.h"

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

int privileges_drop(uid_t uid, gid_t gid, struct error *error)
{
	capng_clear(CAPNG_SELECT_BOTH);
	if (maps_need_capability())
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_BPF);
	if (capng_change_id(uid, gid, CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING))
		return error_set(error, "cannot become uid %u: %s", uid, strerror(errno));
	return 0;
}
