/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The eight bytes of a word side by side. In a mask of bytes the highest bit of each byte says
 * whether the byte belongs to the set; the other bits are zero. The first byte in memory is the
 * lowest of the word: words are read by word_of_text().
 */
#ifndef XDP_ICP_WORDS_H
#define XDP_ICP_WORDS_H

#include "base.h"

#define WORD_ONES 0x0101010101010101ULL
#define WORD_HIGH (0x80 * WORD_ONES)

/*
 * The word at the offset `at` of a text of `size` bytes. Bytes behind the text are read as NUL; in
 * the program they are read as they are, and must be in memory.
 */
ICP_INLINE __u64 word_of_text(const __u8 *text, __u32 at, __u32 size)
{
	__u64 word = 0;

#ifdef __bpf__
	(void)size;
	word = word_at(text + at);
#else
	if (at < size)
		__builtin_memcpy(&word, text + at, size - at < ICP_WORD ? size - at : ICP_WORD);
#endif
	return word_little(word);
}

/* The bytes that equal `byte`. */
ICP_INLINE __u64 word_equal(__u64 word, __u8 byte)
{
	word ^= byte * WORD_ONES;
	return ~(((word & ~WORD_HIGH) + ~WORD_HIGH) | word) & WORD_HIGH;
}

/* The bytes from `first` to `last`, which are ASCII. */
ICP_INLINE __u64 word_between(__u64 word, __u8 first, __u8 last)
{
	__u64 low = word & ~WORD_HIGH;

	return (low + (0x80 - first) * WORD_ONES) & ~(low + (0x7f - last) * WORD_ONES) & ~word &
	       WORD_HIGH;
}

/* ASCII letters in lower case, all other bytes as they are. */
ICP_INLINE __u64 word_lower(__u64 word)
{
	return word | word_between(word, 'A', 'Z') >> 2;
}

/* All bits below the first byte of a mask; all if it is empty. */
ICP_INLINE __u64 mask_before(__u64 mask)
{
	return (mask & (0 - mask)) - 1;
}

/* The bytes up to and including the last byte of a mask. */
ICP_INLINE __u64 mask_up_to_last(__u64 mask)
{
	mask |= mask >> 8;
	mask |= mask >> 16;
	return mask | mask >> 32;
}

/* The number of bytes in a mask. */
ICP_INLINE __u32 mask_count(__u64 mask)
{
	return (mask >> 7) * WORD_ONES >> 56;
}

/* The index of the first byte of a mask, which is not empty. */
ICP_INLINE __u32 mask_first(__u64 mask)
{
	return mask_count(mask_before(mask) & WORD_HIGH);
}

#endif
