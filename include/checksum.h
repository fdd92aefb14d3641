/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The Internet checksum (RFC 1071), accumulated in 64 bits from halves of 64-bit words in the
 * host's byte order, of which the sum is independent, and folded to 16 bits at the end. Adding
 * halves needs no test for a carry, which would be an unpredictable branch.
 */
#ifndef XDP_ICP_CHECKSUM_H
#define XDP_ICP_CHECKSUM_H

#include "base.h"

/* Add a word. The sum has room for more than 2^30 of them. */
ICP_INLINE __u64 checksum_add(__u64 sum, __u64 word)
{
	return sum + (__u32)word + (word >> 32);
}

/* Fold 64 bits to 16; the result is not complemented. */
ICP_INLINE __u16 checksum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Is a received UDP checksum good? `sum` is that of pseudo-header and datagram. */
ICP_INLINE bool checksum_is_full(__u64 sum)
{
	return checksum_fold(sum) == 0xffff;
}

/*
 * Did a sender on the same host leave the checksum to an offload? `field` is the datagram's
 * checksum field as it stands in memory, which then holds the pseudo-header's sum, not
 * complemented; `pseudo` is that sum.
 */
ICP_INLINE bool checksum_is_partial(__u16 field, __u64 pseudo)
{
	return field == checksum_fold(pseudo);
}

/* The UDP checksum field for a sum over all but the field: RFC 768, never 0. */
ICP_INLINE __u16 checksum_udp_field(__u64 sum)
{
	__u16 field = ~checksum_fold(sum);

	return field ? field : 0xffff;
}

#endif
