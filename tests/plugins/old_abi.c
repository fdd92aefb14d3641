// SPDX-License-Identifier: GPL-2.0-or-later
/* A plugin of another version: only the first number can be looked at. */
extern const unsigned int xdp_icp_plugin;
const unsigned int xdp_icp_plugin = 4711;
