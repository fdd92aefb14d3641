// SPDX-License-Identifier: GPL-2.0-or-later
/* Says nothing, looks at anything. */
#include <xdp_icp_plugin.h>

static enum xdp_icp_plugin_verdict check(void *state, const struct xdp_icp_plugin_query *query)
{
	return XDP_ICP_PLUGIN_NOTHING;
}

const struct xdp_icp_plugin xdp_icp_plugin = {
	.abi = XDP_ICP_PLUGIN_ABI,
	.basis = XDP_ICP_PLUGIN_OTHER,
	.ttl = 7,
	.check = check,
};
