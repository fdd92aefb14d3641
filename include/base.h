/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The basis of all files in include/: fixed-size types, byte order, inlining. No libc and no BPF
 * helper, so that the BPF program, the daemon, the tests and the fuzzers compile the same text.
 */
#ifndef XDP_ICP_BASE_H
#define XDP_ICP_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

/* Inline everything: the verifier copes best with a single function, and nothing is linked. */
#define ICP_INLINE static inline __attribute__((always_inline, unused))

/*
 * Use after the comparisons that bound a value. It makes the value a new one to the compiler, which
 * then cannot have spilled it to the stack before it was bounded: the verifier of kernels like 6.1
 * does not apply what a comparison proves about a register to its copy on the stack.
 */
#ifdef __bpf__
#define ICP_BOUNDED(value) asm volatile("" : "+r"(value))
#else
#define ICP_BOUNDED(value) ((void)0)
#endif

/*
 * Read a value back from memory. The compiler forgets what it has learned about it since it was
 * written, and so does the verifier unless the memory is on the stack.
 */
#define ICP_READ_BACK(value) (*(const volatile __typeof__(value) *)&(value))

#ifdef __CHECKER__
#define ICP_FORCE __attribute__((force))
#else
#define ICP_FORCE
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ICP_SWAP16(x) __builtin_bswap16(x)
#define ICP_SWAP32(x) __builtin_bswap32(x)
#else
#define ICP_SWAP16(x) (x)
#define ICP_SWAP32(x) (x)
#endif

ICP_INLINE __u16 be16_to_host(__be16 x)
{
	return ICP_SWAP16((ICP_FORCE __u16)x);
}

ICP_INLINE __u32 be32_to_host(__be32 x)
{
	return ICP_SWAP32((ICP_FORCE __u32)x);
}

ICP_INLINE __be16 host_to_be16(__u16 x)
{
	return (ICP_FORCE __be16)ICP_SWAP16(x);
}

ICP_INLINE __be32 host_to_be32(__u32 x)
{
	return (ICP_FORCE __be32)ICP_SWAP32(x);
}

#define ICP_WORD 8u /* bytes read at a time: a __u64 */

/* A word of a text. It may alias: reading chars by words is intended. */
typedef __u64 __attribute__((may_alias)) text_word;

/* A word with its first byte in memory as the lowest. */
ICP_INLINE __u64 word_little(__u64 word)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return word;
#else
	return __builtin_bswap64(word);
#endif
}

/* Keep the first `bytes` (0 to 7) bytes of a word in memory order, and zero the others. */
ICP_INLINE __u64 word_first_bytes(__u64 word, __u32 bytes)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return word & ~(~0ULL << 8 * bytes);
#else
	return word & ~(~0ULL >> 8 * bytes);
#endif
}

/* A word whose byte at `index` (0 to 7, in memory order) is `byte`; the others are zero. */
ICP_INLINE __u64 word_byte(__u8 byte, __u32 index)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (__u64)byte << 8 * index;
#else
	return (__u64)byte << 8 * (ICP_WORD - 1 - index);
#endif
}

/* Move the first `bytes` (1 to 8) bytes of a word to its end, and zero the others. */
ICP_INLINE __u64 word_to_end(__u64 word, __u32 bytes)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return word << 8 * (ICP_WORD - bytes);
#else
	return word >> 8 * (ICP_WORD - bytes);
#endif
}

/* A word of two halves in the order of memory. */
ICP_INLINE __u64 word_pair(__u32 first, __u32 second)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return first | (__u64)second << 32;
#else
	return (__u64)first << 32 | second;
#endif
}

/* Read a word that need not be aligned. */
ICP_INLINE __u64 word_at(const void *at)
{
#ifdef __bpf__
	return *(const text_word *)at; /* clang would read a copy byte by byte */
#else
	__u64 word;

	__builtin_memcpy(&word, at, sizeof(word));
	return word;
#endif
}

typedef __u32 __attribute__((may_alias)) word_half;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define WORD_UPPER 1
#else
#define WORD_UPPER 0
#endif

/*
 * The lower and the upper half of a word, aligned to half a word; in the program it need not be aligned.
 * Volatile, or compilers load the word once and shift its upper half out.
 */
ICP_INLINE __u32 word_lower_at(const void *at)
{
	return ((const volatile word_half *)at)[1 - WORD_UPPER];
}

ICP_INLINE __u32 word_upper_at(const void *at)
{
	return ((const volatile word_half *)at)[WORD_UPPER];
}

/* Move the last `bytes` (1 to 8) bytes of a word to its beginning, and zero the others. */
ICP_INLINE __u64 word_last_bytes(__u64 word, __u32 bytes)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return word >> 8 * (ICP_WORD - bytes);
#else
	return word << 8 * (ICP_WORD - bytes);
#endif
}

#endif
