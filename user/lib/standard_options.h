/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options --help, --usage and --version of every program, as a child of its parser, which is
 * run with ARGP_NO_HELP, because argp's own options have no -h. They print and exit, even with
 * ARGP_NO_EXIT.
 */
#ifndef XDP_ICP_STANDARD_OPTIONS_H
#define XDP_ICP_STANDARD_OPTIONS_H

#include <argp.h>

/* For a program without other children. */
extern const struct argp_child standard_children[];

#endif
