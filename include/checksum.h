/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The Internet checksum (RFC 1071), accumulated from 32-bit words in the host's byte order (the sum
 * does not depend on it) and folded to 16 bits at the end. A sum in 64 bits needs no test for a carry,
 * which would be an unpredictable branch.
 */
#ifndef XDP_ICP_CHECKSUM_H
#define XDP_ICP_CHECKSUM_H

#include "base.h"

/* The sum of the two halves of the word at `at`. */
ICP_INLINE __u64 checksum_word(const void *at)
{
	return (__u64)word_lower_at(at) + word_upper_at(at);
}

/* A sum of whole words, of which each takes two additions and one load more than the word's own. */
struct checksum_words {
	__u64 words; /* modulo 2^64 */
	__u64 upper; /* of the words' upper halves */
};

/* Add a word that has been read at `at`. */
ICP_INLINE void checksum_add(struct checksum_words *sum, __u64 word, const void *at)
{
	sum->words += word;
	sum->upper += word_upper_at(at);
}

/* The sum of all halves of at most 2^31 words. */
ICP_INLINE __u64 checksum_of_words(struct checksum_words sum)
{
	return sum.words - (sum.upper << 32) + sum.upper;
}

/*
 * Fold a sum below 2^48 to 16 bits; the result is not complemented. If the sum's digits to the base 2^16
 * are a, b, c, the lowest first, then the product's are a, a + b, a + b + c and a + b + c, each with the
 * carry of the one before. The carry into the last is (a + b + c + carry(a + b)) / 2^16, which equals
 * (a + b + c - 1) / 0xffff for all digits: what an addition with end-around carry adds.
 */
ICP_INLINE __u16 checksum_fold(__u64 sum)
{
	return sum * 0x0001000100010001 >> 48;
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
