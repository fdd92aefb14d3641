/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The readings of a URL. Policies look for texts that one of them begins with.
 */
#ifndef XDP_ICP_READINGS_H
#define XDP_ICP_READINGS_H

#include "prefix.h"

enum url_reading {
	URL_FORWARD, /* the URL as it is, with its NUL */
	URL_READINGS
};

#endif
