/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The Internet checksum (RFC 1071), accumulated from halves of 64-bit words in the host's byte order
 * (the sum does not depend on it) and folded to 16 bits at the end. Adding halves needs no test for
 * a carry, which would be an unpredictable branch.
 */
#ifndef XDP_ICP_CHECKSUM_H
#define XDP_ICP_CHECKSUM_H

#include "base.h"

/* Of words that are added up. */
struct checksum {
	__u64 words; /* their sum modulo 2^64 */
	__u64 upper; /* the sum of their upper halves */
};

ICP_INLINE void checksum_add(struct checksum *sum, __u64 word)
{
	sum->words += word;
	sum->upper += word >> 32;
}

/*
 * The sum of both halves of all words. That of the lower ones is `words` less the upper ones, exactly, since
 * it is below 2^64.
 */
ICP_INLINE __u64 checksum_total(struct checksum sum)
{
	return sum.words - (sum.upper << 32) + sum.upper;
}

/* Fold a sum below 2^47 (of at most 2^14 words) to 16 bits; the result is not complemented. */
ICP_INLINE __u16 checksum_fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/*
 * Is a received checksum correct? `sum` covers the checksummed data and the field itself. It is
 * correct if it folds to 0xffff, that is if it is a multiple of that and not 0, which it cannot be:
 * IP's version or UDP's protocol number is in it. Multiplied by the inverse of 0xffff modulo 2^64,
 * the multiples and no other numbers are at most (2^64 - 1) / 0xffff (Granlund and Montgomery,
 * "Division by Invariant Integers using Multiplication", PLDI 1994, section 9).
 */
ICP_INLINE bool checksum_is_full(__u64 sum)
{
	return sum * 0xfffefffefffeffff <= 0x0001000100010001;
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
