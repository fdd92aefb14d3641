/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef XDP_ICP_OUTPUT_H
#define XDP_ICP_OUTPUT_H

#include "lib/error.h"

/*
 * Close standard output. Returns 0, or -1 with an error if not all of the output could be written.
 */
int output_close(struct error *error);

#endif
