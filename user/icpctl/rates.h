/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rates from two replies of the daemon, by its own clock. */
#ifndef XDP_ICP_ICPCTL_RATES_H
#define XDP_ICP_ICPCTL_RATES_H

#include <jansson.h>

/*
 * Return the seconds between two replies to GET /v1/status by the daemon's clock. 0: there are no
 * rates, because there is no reply before (NULL), or the daemon was restarted meanwhile.
 */
double rates_seconds(const json_t *before, const json_t *now);

/*
 * Return by how much the counter `key` of an object has grown. A counter that is new, or was reset,
 * has grown from 0.
 */
json_int_t rates_growth(const json_t *before, const json_t *now, const char *key);

/* Return that growth a second; 0 if `seconds` is. */
double rates_of(const json_t *before, const json_t *now, const char *key, double seconds);

#endif
