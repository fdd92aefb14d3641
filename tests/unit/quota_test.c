// SPDX-License-Identifier: GPL-2.0-or-later
/* Quotas of the control socket, of a daemon that has dropped its privileges. */
#include <unistd.h>

#include "control/quota.h"
#include "support/test.h"

#define DAEMON_UID 1000

static const struct quota_usage one = { .connections = 1 };

/* Acquire connections until one is refused; return how many were granted. */
static int acquire_all(struct quota *quota, uid_t uid)
{
	int count = 0;

	while (quota_acquire(quota, uid, one))
		count++;
	return count;
}

TEST(each_tier_leaves_room_for_those_above)
{
	struct quota quota = { 0 }, other = { 0 };
	uid_t former = geteuid();

	if (former != 0)
		skip();
	assert_int_equal(seteuid(DAEMON_UID), 0);
	assert_int_equal(acquire_all(&quota, 2001), QUOTA_ONE_READER);
	assert_int_equal(acquire_all(&quota, DAEMON_UID), QUOTA_USERS - QUOTA_ONE_READER);
	/* Readers have not used their own share, but all of what they share with the daemon's user. */
	assert_int_equal(acquire_all(&quota, 2002), 0);
	assert_int_equal(acquire_all(&quota, 0), QUOTA_ALL - QUOTA_USERS);
	quota_release(&quota, 2001, one);
	assert_int_equal(acquire_all(&quota, 2002), 1);
	assert_int_equal(acquire_all(&other, 0), QUOTA_ALL);
	assert_int_equal(acquire_all(&other, DAEMON_UID), 0);
	assert_int_equal(seteuid(former), 0);
}
