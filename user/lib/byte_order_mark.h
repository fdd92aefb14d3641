/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Some editors begin a UTF-8 file with a byte order mark. Here it would become an invisible part of
 * the first name or URL.
 */
#ifndef XDP_ICP_BYTE_ORDER_MARK_H
#define XDP_ICP_BYTE_ORDER_MARK_H

#include <stdbool.h>
#include <string.h>

#define BYTE_ORDER_MARK_ERROR "a byte order mark; save the file as UTF-8 without one"

static inline bool has_byte_order_mark(const char *text, size_t size)
{
	return size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0;
}

#endif
