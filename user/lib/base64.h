/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Base64 with padding (RFC 4648, section 4). */
#ifndef XDP_ICP_BASE64_H
#define XDP_ICP_BASE64_H

#include <stddef.h>

/* Return the text of `length` bytes, to be freed. NULL: out of memory. */
char *base64_encode(const void *bytes, size_t length);

/*
 * Return the bytes of a text of `size` characters, to be freed, with a NUL added that *length does not
 * count. NULL: it is no base64, or memory is exhausted.
 */
char *base64_decode(const char *text, size_t size, size_t *length);

#endif
