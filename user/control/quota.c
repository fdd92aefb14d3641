// SPDX-License-Identifier: GPL-2.0-or-later
#include <unistd.h>

#include "control/quota.h"

enum tier {
	READER,
	DAEMON_USER,
	ROOT,
	TIERS
};

/* The limits of a tier together with those below it. */
static const struct quota_usage limits[TIERS] = {
	[READER] = { QUOTA_READERS, QUOTA_READERS_BYTES },
	[DAEMON_USER] = { QUOTA_USERS, QUOTA_USERS_BYTES },
	[ROOT] = { QUOTA_ALL, QUOTA_ALL_BYTES },
};

static const struct quota_usage one_reader = { QUOTA_ONE_READER, QUOTA_ONE_READER_BYTES };

static enum tier tier_of(uid_t uid)
{
	if (uid == 0)
		return ROOT;
	return uid == geteuid() ? DAEMON_USER : READER;
}

static struct quota_usage sum(struct quota_usage a, struct quota_usage b)
{
	return (struct quota_usage){ a.connections + b.connections, a.bytes + b.bytes };
}

static bool exceeds(struct quota_usage used, struct quota_usage limit)
{
	return used.connections > limit.connections || used.bytes > limit.bytes;
}

/* Return the user's slot, or a free one, or NULL. */
static struct quota_user *find(struct quota *quota, uid_t uid)
{
	struct quota_user *free_slot = NULL;

	for (size_t i = 0; i < QUOTA_ALL; i++) {
		struct quota_user *user = &quota->users[i];

		if (user->used.connections && user->uid == uid)
			return user;
		if (!user->used.connections)
			free_slot = user;
	}
	return free_slot;
}

/* Would the limits of a tier and of those above it be kept with `more`? */
static bool has_room(const struct quota *quota, enum tier tier, struct quota_usage more)
{
	struct quota_usage used[TIERS] = { 0 }, all = more;

	for (size_t i = 0; i < QUOTA_ALL; i++) {
		const struct quota_user *user = &quota->users[i];
		enum tier other = tier_of(user->uid);

		if (user->used.connections)
			used[other] = sum(used[other], user->used);
	}
	for (enum tier i = 0; i < TIERS; i++) {
		all = sum(all, used[i]);
		if (i >= tier && exceeds(all, limits[i]))
			return false;
	}
	return true;
}

bool quota_acquire(struct quota *quota, uid_t uid, struct quota_usage more)
{
	struct quota_user *user = find(quota, uid);
	enum tier tier = tier_of(uid);

	if (!user || !has_room(quota, tier, more))
		return false;
	if (!user->used.connections)
		*user = (struct quota_user){ .uid = uid };
	if (tier == READER && exceeds(sum(user->used, more), one_reader))
		return false;
	user->used = sum(user->used, more);
	return true;
}

void quota_release(struct quota *quota, uid_t uid, struct quota_usage less)
{
	struct quota_user *user = find(quota, uid);

	user->used.connections -= less.connections;
	user->used.bytes -= less.bytes;
}
