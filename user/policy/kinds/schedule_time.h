/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Times of the week, such as "Mon-Fri 02:00-04:00". Reads no clock: the caller passes the time. */
#ifndef XDP_ICP_SCHEDULE_TIME_H
#define XDP_ICP_SCHEDULE_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "lib/error.h"

struct schedule_range {
	unsigned char days; /* bit tm_wday: begins on that day of the week */
	short begin, end;   /* minutes of the day; `end` is exclusive, at most 24 hours */
};

/*
 * Parse [DAYS] HH:MM-HH:MM. DAYS are Mon Tue Wed Thu Fri Sat Sun, ranges of them with a minus
 * (Sat-Mon is three days) and lists with commas; without DAYS, every day. A range whose end is
 * before its beginning ends on the next day. Returns -1 with an error that does not name the place.
 */
int schedule_parse(const char *text, struct schedule_range *range, struct error *error);

/*
 * Does the local time lie in one of the ranges? That is wall-clock time: the hour skipped by the
 * change to summer time never occurs, and the one repeated by the change back occurs twice.
 */
bool schedule_matches(const struct schedule_range *ranges, size_t count, const struct tm *local);

#endif
