// SPDX-License-Identifier: GPL-2.0-or-later
#include <xdp_icp_plugin.h>

const struct xdp_icp_plugin xdp_icp_plugin = {
	.abi = XDP_ICP_PLUGIN_ABI,
	.basis = XDP_ICP_PLUGIN_URL,
};
