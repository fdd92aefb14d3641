// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <strings.h>

#include "policy/kinds/schedule_time.h"

#define DAY_MINUTES (24 * 60)
#define EVERY_DAY 0x7f

/* Parse a day of the week at `*text`. Returns tm_wday, or -1. */
static int parse_day(const char **text)
{
	static const char names[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };

	for (int i = 0; i < 7; i++) {
		if (strncasecmp(*text, names[i], 3))
			continue;
		*text += 3;
		return i;
	}
	return -1;
}

/* Parse DAYS and the blanks after them. Returns false on a syntax error. */
static bool parse_days(const char **text, unsigned char *days)
{
	*days = 0;
	for (;;) {
		int first = parse_day(text), last = first;

		if (first >= 0 && **text == '-') {
			++*text;
			last = parse_day(text);
		}
		if (first < 0 || last < 0)
			return false;
		for (int day = first; day != last; day = (day + 1) % 7)
			*days |= 1 << day;
		*days |= 1 << last;
		if (**text != ',')
			break;
		++*text;
		*text += strspn(*text, " ");
	}
	if (**text != ' ')
		return false;
	*text += strspn(*text, " ");
	return true;
}

/* Parse HH:MM up to 24:00. Returns minutes, or -1. */
static int parse_time(const char **text)
{
	const char *c = *text;
	int minutes;

	for (int i = 0; i < 5; i++)
		if (i == 2 ? c[i] != ':' : c[i] < '0' || c[i] > '9')
			return -1;
	if (c[3] > '5')
		return -1;
	minutes = ((c[0] - '0') * 10 + c[1] - '0') * 60 + (c[3] - '0') * 10 + c[4] - '0';
	if (minutes > DAY_MINUTES)
		return -1;
	*text += 5;
	return minutes;
}

static int wrong(const char *text, const char *at, const char *what, struct error *error)
{
	return error_set(error,
			 "'%s': %s at '%s'; write it as 02:00-04:00, Mon-Fri 22:00-06:00 or "
			 "Sat,Sun 00:00-24:00",
			 text, what, at);
}

int schedule_parse(const char *text, struct schedule_range *range, struct error *error)
{
	const char *at = text;

	range->days = EVERY_DAY;
	if ((*at < '0' || *at > '9') && !parse_days(&at, &range->days))
		return wrong(text, at, "expected days of the week", error);
	range->begin = parse_time(&at);
	if (range->begin < 0 || *at != '-')
		return wrong(text, at, "expected a time of day and a minus", error);
	at++;
	range->end = parse_time(&at);
	if (range->end < 0 || *at)
		return wrong(text, at, "expected a time of day and the end", error);
	if (range->begin == range->end || range->begin == DAY_MINUTES)
		return error_set(error, "'%s' is empty; a whole day is 00:00-24:00", text);
	return 0;
}

bool schedule_matches(const struct schedule_range *ranges, size_t count, const struct tm *local)
{
	int minute = local->tm_hour * 60 + local->tm_min;
	unsigned int today = 1 << local->tm_wday, yesterday = 1 << (local->tm_wday + 6) % 7;

	for (size_t i = 0; i < count; i++) {
		const struct schedule_range *range = &ranges[i];
		bool over_midnight = range->end < range->begin;

		if ((range->days & today) && minute >= range->begin &&
		    (over_midnight || minute < range->end))
			return true;
		if ((range->days & yesterday) && over_midnight && minute < range->end)
			return true;
	}
	return false;
}
