/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xdp-icpd --check: what a start with a configuration would do, without changing anything. */
#ifndef XDP_ICP_CONFIG_CHECK_H
#define XDP_ICP_CONFIG_CHECK_H

/*
 * Check a configuration and what it names. As root, become its `user` first, as a start does. Print
 * what is of interest to standard output, and the first error, or all helpers without a reply, to
 * standard error. Return 0, or -1 if there was one.
 */
int config_check(const char *path);

#endif
