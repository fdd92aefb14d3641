// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An example of a plugin: divides the URLs among COUNT servers, of which this is number THIS,
 * counted from 0. All URLs of a directory belong to the same server. To what belongs to others it replies
 * MISS: they may be out of service, and this server can handle it as well.
 *
 *	policy "90-mine" {
 *		kind      = "plugin"
 *		file      = "/usr/local/lib/xdp-icp/partition.so"
 *		arguments = { "0", "3" }
 *	}
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <xdp_icp_plugin.h>

struct partition {
	unsigned int this, count;
};

static int open_partition(size_t count, const char *const *arguments, void **state, char *error,
			  size_t error_size)
{
	struct partition *partition = malloc(sizeof(*partition));
	char rest;

	if (partition && count == 2 && sscanf(arguments[0], "%u%c", &partition->this, &rest) == 1 &&
	    sscanf(arguments[1], "%u%c", &partition->count, &rest) == 1 &&
	    partition->this < partition->count) {
		*state = partition;
		return 0;
	}
	free(partition);
	snprintf(error, error_size, "two numbers are wanted, THIS and COUNT, THIS below COUNT");
	return -1;
}

static enum xdp_icp_plugin_verdict check(void *state, const struct xdp_icp_plugin_query *query)
{
	const struct partition *partition = state;
	uint64_t hash = 0, directory = 0;

	for (size_t i = 0; i < query->length && query->url[i] != '?'; i++) {
		hash = (hash ^ (unsigned char)query->url[i]) * 0x9e3779b97f4a7c15u;
		hash ^= hash >> 32;
		if (query->url[i] == '/')
			directory = hash;
	}
	return directory % partition->count == partition->this ? XDP_ICP_PLUGIN_HIT
							       : XDP_ICP_PLUGIN_MISS;
}

const struct xdp_icp_plugin xdp_icp_plugin = {
	.abi = XDP_ICP_PLUGIN_ABI,
	.basis = XDP_ICP_PLUGIN_URL,
	.open = open_partition,
	.check = check,
	.close = free,
};
