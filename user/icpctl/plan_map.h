/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The maps of `icpctl cluster plan`: the current one, from a file or the daemon, and one with
 * changes.
 */
#ifndef XDP_ICP_PLAN_MAP_H
#define XDP_ICP_PLAN_MAP_H

#include "cluster/membership.h"
#include "icpctl/icpctl.h"
#include "lib/error.h"

/* A change, as an option tells it. */
struct plan_change {
	enum plan_change_kind {
		PLAN_WITHOUT,  /* text: a member */
		PLAN_WITH,     /* text: a member, value: its weight */
		PLAN_ASSIGN,   /* text: PREFIX=MEMBER or PREFIX=VERDICT */
		PLAN_UNASSIGN, /* text: a prefix */
		PLAN_DRAIN,    /* text: a member */
		PLAN_UNDRAIN,
	} kind;
	const char *text, *value;
};

/*
 * Read a map that a daemon has saved, or a list of members: NAME or NAME WEIGHT a line, with comments
 * that begin with #. `cluster` NULL: that of the saved map; a list of members is then one of a
 * configuration. Returns a reference, or NULL with an error.
 */
const struct membership *plan_map_read(const char *path, const char *cluster, struct error *error);

/*
 * Ask the daemon for the map of a cluster; `cluster` NULL: of the only one. Returns an exit status after
 * reporting an error, or 0 and a reference.
 */
int plan_map_ask(struct icpctl *ctl, const char *cluster, const struct membership **map);

/* Apply changes to a map. Returns a reference, or NULL with an error that names the change. */
const struct membership *plan_map_change(const struct membership *map,
					 const struct plan_change *changes, size_t count,
					 struct error *error);

#endif
