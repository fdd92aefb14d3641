/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Times of the week, as "Mon-Fri 02:00-04:00". Knows no clock: it is handed the local time. */
#ifndef XDP_ICP_SCHEDULE_H
#define XDP_ICP_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "lib/error.h"

struct schedule_range {
	unsigned char days; /* bit tm_wday: it begins on that day of the week */
	short begin, end;   /* minutes of the day; `end` itself is outside, and may be 24 hours */
};

/*
 * Reads [DAYS] HH:MM-HH:MM. DAYS are Mon Tue Wed Thu Fri Sat Sun, ranges of them with a minus
 * (Sat-Mon is three days) and lists with commas; without DAYS it is every day. A range whose end
 * is before its beginning ends on the next day. -1 with an error without a place.
 */
int schedule_parse(const char *text, struct schedule_range *range, struct error *error);

/*
 * Does the local time lie in one of the ranges? It is the time that a clock on the wall shows:
 * what a change to summer time skips does not come, and what the change back repeats comes twice.
 */
bool schedule_matches(const struct schedule_range *ranges, size_t count, const struct tm *local);

#endif
