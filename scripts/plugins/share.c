// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An example of a plugin: replies HIT for PERCENT of all directories, and lets the next policy decide
 * about the others. A server that begins with empty caches is given more of them step by step: those
 * that it has stay its own when PERCENT is raised.
 *
 *	policy "70-warm-up" {
 *		kind      = "plugin"
 *		file      = "/usr/local/lib/xdp-icp/share.so"
 *		arguments = { "25" }
 *	}
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <xdp_icp_plugin.h>

struct share {
	unsigned int percent;
};

static int open_share(size_t count, const char *const *arguments, void **state, char *error,
		      size_t error_size)
{
	struct share *share = malloc(sizeof(*share));
	char rest;

	if (share && count == 1 && sscanf(arguments[0], "%u%c", &share->percent, &rest) == 1 &&
	    share->percent <= 100) {
		*state = share;
		return 0;
	}
	free(share);
	snprintf(error, error_size, "give one argument, PERCENT, a number from 0 to 100");
	return -1;
}

static enum xdp_icp_plugin_verdict check(void *state, const struct xdp_icp_plugin_query *query)
{
	const struct share *share = state;
	uint64_t hash = 0, directory = 0;

	for (size_t i = 0; i < query->length && query->url[i] != '?'; i++) {
		hash = (hash ^ (unsigned char)query->url[i]) * 0x9e3779b97f4a7c15u;
		hash ^= hash >> 32;
		if (query->url[i] == '/')
			directory = hash;
	}
	return directory % 100 < share->percent ? XDP_ICP_PLUGIN_HIT : XDP_ICP_PLUGIN_NOTHING;
}

const struct xdp_icp_plugin xdp_icp_plugin = {
	.abi = XDP_ICP_PLUGIN_ABI,
	.basis = XDP_ICP_PLUGIN_URL,
	.open = open_share,
	.check = check,
	.close = free,
};
