// SPDX-License-Identifier: GPL-2.0-or-later
/* A plugin whose policy takes as long to make as a file exists, and says nothing then. */
#include <unistd.h>

#include "xdp_icp_plugin.h"

static int wait_for(size_t count, const char *const *arguments, void **state, char *error,
		    size_t error_size)
{
	*state = NULL;
	while (count && access(arguments[0], F_OK) == 0)
		usleep(1000);
	return 0;
}

static enum xdp_icp_plugin_verdict check(void *state, const struct xdp_icp_plugin_query *query)
{
	return XDP_ICP_PLUGIN_NOTHING;
}

const struct xdp_icp_plugin xdp_icp_plugin = {
	.abi = XDP_ICP_PLUGIN_ABI,
	.basis = XDP_ICP_PLUGIN_URL,
	.open = wait_for,
	.check = check,
};
