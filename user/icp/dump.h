/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An ICP message drawn as the box of RFC 2186 section 2. */
#ifndef XDP_ICP_DUMP_H
#define XDP_ICP_DUMP_H

#include <stddef.h>
#include <stdio.h>

/*
 * Draw a datagram of `size` bytes; nothing about its contents is assumed.
 *
 * The four 32-bit fields are hexadecimal without leading zeros; version and length are decimal, as
 * in the header. The opcode is shown by its name in the RFC, without ICP_OP_ if that does not fit
 * the column, or by its number if it has no name. The payload, all that follows the header, is
 * escaped as by escape() and wrapped at 50 columns, never within an escape. Less than a header
 * becomes one line.
 */
void dump_datagram(FILE *out, const void *datagram, size_t size);

#endif
