/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An ICP message drawn as the box of RFC 2186 section 2. */
#ifndef XDP_ICP_DUMP_H
#define XDP_ICP_DUMP_H

#include <stddef.h>
#include <stdio.h>

/*
 * Draws `size` bytes, whatever they are; nothing in them is taken for granted.
 *
 * The request number and the other three fields of 32 bits are hexadecimal without leading zeros,
 * version and length decimal, both as the header has them. An opcode stands by its name of the
 * RFC, without ICP_OP_ if it would not fit the column, or else by its number. The payload, all
 * behind the header, is written as escape() does; what does not fit its 50 columns goes on below,
 * under its beginning, and an escape is never broken. Less than a header is one line that says so.
 */
void dump_datagram(FILE *out, const void *datagram, size_t size);

#endif
