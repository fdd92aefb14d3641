// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdbool.h>

#include "icpctl/icpctl.h"
#include "icpctl/rates.h"

double rates_seconds(const json_t *before, const json_t *now)
{
	json_int_t begin = icpctl_integer(before, "clock_ms");
	json_int_t end = icpctl_integer(now, "clock_ms");
	bool same = json_equal(json_object_get(before, "pid"), json_object_get(now, "pid"));

	return same && end > begin ? (double)(end - begin) / 1000 : 0;
}

json_int_t rates_growth(const json_t *before, const json_t *now, const char *key)
{
	json_int_t last = icpctl_integer(before, key);
	json_int_t value = icpctl_integer(now, key);

	return value < last ? value : value - last;
}

double rates_of(const json_t *before, const json_t *now, const char *key, double seconds)
{
	return seconds > 0 ? (double)rates_growth(before, now, key) / seconds : 0;
}
