/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The filter before automata (automaton.h). Most URLs match none of the patterns, and the filter
 * detects that in a quarter of the time of a walk: a match begins with one of a few bytes, which
 * only a few others can follow. For each byte and each of the first four places of a match, the
 * filter records for each automaton whether a match can have that byte there. A URL without four
 * such bytes in a row has no match, and its automaton need not be walked.
 *
 * That is Shift-Or (Baeza-Yates and Gonnet, 1992) with sets of bytes for characters: one bit for each
 * place and automaton, 0 for "can be". A step takes one load, which does not wait for the one before
 * it, and does all places of all automata at once.
 *
 * With at most eight automata the scan may look only at even bytes (a stride of 2). A match that
 * begins at an even byte then shows its places 0, 2, 4 and 6, and one at an odd byte its places 1,
 * 3, 5 and 7. Each automaton has a bit for either case, and passes if one of them does.
 *
 * An automaton that the filter cannot rule out, since its patterns can begin with too many bytes,
 * has zeros everywhere. user/automaton/heads.c finds the bytes.
 */
#ifndef XDP_ICP_FILTER_H
#define XDP_ICP_FILTER_H

#include "base.h"

#define FILTER_PLACES 4u    /* bytes of a match that are looked at */
#define FILTER_AUTOMATA 16u /* one bit each */
#define FILTER_STRIDE_MAX 2u
/* At most, with that stride; an automaton's bit for odd is this far above its bit for even. */
#define FILTER_AUTOMATA_HALF (FILTER_AUTOMATA / 2)

struct filter {
	__u64 miss[256]; /* for each byte; the first place, or two, in the lowest 16 bits */
	__u32 rank;   /* the least of an automaton that the filter may spare; ~0: there is none */
	__u32 others; /* bits: automata that it cannot spare */
	__u32 stride; /* 1 or FILTER_STRIDE_MAX */
	__u32 zero;
};

/* Look at every `stride`-th byte, where the stride is a constant. Returns the bits that pass. */
ICP_INLINE __u32 filter_scan(const struct filter *filter, const __u8 *bytes, __u32 length,
			     __u32 words, __u32 stride)
{
	__u64 state = ~0ULL, all = ~0ULL, nul;

	for (__u32 i = 0; i < words; i++) {
		if (i * ICP_WORD > length)
			break;
#pragma GCC unroll 8
		for (__u32 byte = 0; byte < ICP_WORD; byte += stride) {
			state = state << FILTER_AUTOMATA | filter->miss[bytes[i * ICP_WORD + byte]];
			all &= state;
		}
	}
	/* A match that begins at one of the last bytes shows only in the bytes after the end. */
	nul = filter->miss[0];
#pragma GCC unroll 3
	for (__u32 i = 1; i < FILTER_PLACES; i++) {
		state = state << FILTER_AUTOMATA | nul;
		all &= state;
	}
	return ~all >> (FILTER_PLACES - 1) * FILTER_AUTOMATA;
}

/*
 * Return the automata that may match a text of `length` bytes that is followed by a NUL and
 * zero-padded to the word, as bits: all of those whose rank is below `best`, and possibly others.
 * `words` is an upper bound of length / ICP_WORD + 1, a constant in the kernel.
 */
ICP_INLINE __u32 filter_text(const struct filter *filter, const text_word *text, __u32 length,
			     __u32 words, __u32 best)
{
	const __u8 *bytes = (const __u8 *)text;
	__u32 found;

	if (filter->rank >= best)
		return filter->others;
	if (filter->stride == 1)
		return filter_scan(filter, bytes, length, words, 1);
	found = filter_scan(filter, bytes, length, words, FILTER_STRIDE_MAX);
	return (found | found >> FILTER_AUTOMATA_HALF) & ((1u << FILTER_AUTOMATA_HALF) - 1);
}

#endif
