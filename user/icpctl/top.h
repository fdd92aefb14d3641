/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The data that `icpctl top` shows, and drawing it; top.c has the rest. */
#ifndef XDP_ICP_ICPCTL_TOP_H
#define XDP_ICP_ICPCTL_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "lib/error.h"

/* Replies to GET /v1/status and /v1/policies, the one right after the other. NULL: none yet. */
struct top_sample {
	json_t *status;
	json_t *policies;
};

enum top_order {
	TOP_BY_RANK,
	TOP_BY_RATE,
	TOP_BY_TOTAL,
	TOP_BY_NAME,
	TOP_ORDERS
};

struct top {
	struct top_sample before, now;
	uint64_t when;	       /* of the daemon's last reply: nanoseconds (CLOCK_MONOTONIC) */
	struct error error;    /* why there is no newer sample; empty: there is */
	unsigned long seconds; /* between samples */
	enum top_order order;
	char *selected;	  /* name of a row; NULL: the first one */
	size_t row, rows; /* that one's number, and how many there are, as drawn last */
	size_t page;	  /* how many have room */
	size_t first;	  /* the uppermost one that is shown */
	int move;	  /* by how many rows to move the selection when it is drawn next */
};

/* Draw on the screen of curses. */
void top_draw(struct top *top);

#endif
