/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The picture of `icpctl cluster plan`: owners before and after, and what moves between them. */
#ifndef XDP_ICP_PLAN_SVG_H
#define XDP_ICP_PLAN_SVG_H

#include <stdio.h>

#include "cluster/plan.h"

/* Write it. The caller looks at ferror(). */
void plan_svg_write(FILE *file, const struct plan_result *result);

#endif
