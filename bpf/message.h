/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Read the ICP message: one pass over the packet's words that copies them, computes the checksum,
 * and checks for bytes that no URL contains.
 */
#ifndef XDP_ICP_MESSAGE_H
#define XDP_ICP_MESSAGE_H

#include "frame.h"
#include "words.h"

/* The shortest query with a URL: the header, one byte and the NUL. */
#define MESSAGE_MIN (ICP_QUERY_HEADER_SIZE + 2)

/* The results of the pass over the URL's words. */
struct reading {
	struct checksum_words sum;
	__u64 suspicious; /* of word_controls() */
};

/* Read a word of the URL, in the packet or copied. */
ICP_INLINE __u64 read_word(struct reading *reading, const text_word *at)
{
	__u64 word = *at;

	checksum_add(&reading->sum, word, at);
	reading->suspicious |= word_controls(word);
	return word;
}

/*
 * Copy a message with the helper, which takes longer than all other reading together. Returns false if
 * the frame is shorter than its headers say.
 */
__attribute__((noinline)) int copy_slowly(struct xdp_md *ctx, struct scratch *scratch)
{
	text_word *words;
	__u32 size, last;

	if (!scratch) /* never: for the verifier */
		return false;
	words = scratch->message.words;
	size = scratch_url_length(scratch) + MESSAGE_MIN - 1;
	if (size > MESSAGE_MAX || size < MESSAGE_MIN) /* never: for the verifier */
		return false;
	ICP_BOUNDED(size);
	if (bpf_xdp_load_bytes(ctx, scratch->frame.message_offset, words, size))
		return false;
	/* Clear what the last query has left behind the end of this one. */
	last = size / ICP_WORD;
	words[last] = word_first_bytes(words[last], size % ICP_WORD);
	return true;
}

/* message_copy() of a message that is split, or is followed by padding */
ICP_INLINE bool message_copy_slowly(struct xdp_md *ctx, __u32 whole, struct scratch *scratch,
				    struct reading *reading)
{
	if (!copy_slowly(ctx, scratch))
		return false;
	for (__u32 i = 0; i < PREFIX_WORDS; i++) {
		if (i >= whole)
			break;
		read_word(reading, scratch->message.words + MESSAGE_URL_WORD + i);
	}
	return true;
}

/*
 * Copy the message, MESSAGE_MIN to MESSAGE_MAX bytes, out of the packet, zero-padded to the word, and
 * read all words of the URL but the last, `whole` words. Usually the message ends with the frame:
 * then an unrolled loop with one test for each word does it: any further test would be another
 * unpredictable branch. Returns false if the frame is shorter than its headers say.
 */
ICP_INLINE bool message_copy(struct xdp_md *ctx, __u32 offset, __u32 size, __u32 whole,
			     struct scratch *scratch, struct reading *reading)
{
	const char *end = (const char *)(long)ctx->data_end;
	const char *from = (const char *)(long)ctx->data;
	text_word *words = scratch->message.words;
	text_word *url = words + MESSAGE_URL_WORD;
	__u32 last_word = size - ICP_WORD;
	const char *last;

	ICP_BOUNDED(last_word); /* or the packet's end is compared, and the word is before it */
	if (offset > MESSAGE_OFFSET_MAX) /* never: for the verifier */
		return false;
	last = from + offset + last_word;
	if (end - from != offset + size || from + offset + ICP_QUERY_HEADER_SIZE > end ||
	    last + ICP_WORD > end)
		return message_copy_slowly(ctx, whole, scratch, reading);
	from += offset;
#pragma unroll
	for (__u32 i = 0; i < MESSAGE_URL_WORD; i++)
		words[i] = ((const text_word *)from)[i];
	url[whole] = word_last_bytes(*(const text_word *)last, (size - 1) % ICP_WORD + 1);
	from += ICP_QUERY_HEADER_SIZE;

	ICP_BOUNDED(url); /* or the compiler computes each address from the start of the scratch */
#pragma unroll
	for (__u32 i = 0; i < PREFIX_WORDS; i++) {
		from += ICP_WORD;
		ICP_BOUNDED(from); /* likewise, from the start of the message */
		if (from >= end)   /* the last word, read above */
			break;
		url[i] = read_word(reading, (const text_word *)from - 1);
	}
	return true;
}

/* icp_url_form() of the URL */
__attribute__((noinline)) __u32 find_form(const struct scratch *scratch)
{
	if (!scratch) /* never: for the verifier */
		return ICP_FORM_NO_URL;
	return icp_url_form(scratch->message.bytes + ICP_QUERY_HEADER_SIZE,
			    scratch_url_length(scratch), PREFIX_URL_MAX);
}

/*
 * Copy the message into `scratch`, and read all words of its URL but the last. Returns
 * ICP_COUNT_ANSWERED, or the reason to pass.
 */
ICP_INLINE enum icp_counter message_read(struct xdp_md *ctx, struct scratch *scratch,
					 struct reading *reading)
{
	struct frame *frame = &scratch->frame;
	__u32 size, whole;

	size = frame->udp_size - sizeof(struct udphdr);
	/* Or the compiler computes it again further down, where the verifier knows no bounds. */
	asm volatile("" : "+r"(size));
	if (size < MESSAGE_MIN)
		return refuse(ICP_COUNT_PASSED_MALFORMED);
	if (size > MESSAGE_MAX)
		return refuse(ICP_COUNT_PASSED_LONG);
	ICP_BOUNDED(size);
	scratch->url_length = size - MESSAGE_MIN + 1;
	/* It is less: a bound for the verifier. */
	whole = scratch_url_length(scratch) / ICP_WORD % PREFIX_WORDS;
	ICP_BOUNDED(whole); /* or the compiler leaves out the loops' own, which it needs too */
	__builtin_memset(reading, 0, sizeof(*reading));
	if (!message_copy(ctx, frame->message_offset, size, whole, scratch, reading))
		return refuse(ICP_COUNT_PASSED_TRUNCATED);
	return ICP_COUNT_ANSWERED;
}

/*
 * Read the last word, verify the checksum and the header, and set scratch->form. Returns as
 * message_read().
 */
ICP_INLINE enum icp_counter message_check(const struct map_chain *chain, struct scratch *scratch,
					  struct reading *reading)
{
	struct frame *frame = &scratch->frame;
	text_word *words = scratch->message.words;
	text_word *url = words + MESSAGE_URL_WORD;
	__u64 sum, tail;
	__u32 length, whole, left, i;
	bool partial = false;

	/*
	 * The last word: the rest of the URL, the NUL, and zeroes. The length is read back, so that
	 * the verifier knows no more of it than before the loop: it would follow the code behind
	 * once for each number of words.
	 */
	length = scratch_url_length(scratch);
	whole = length / ICP_WORD % PREFIX_WORDS;
	left = length % ICP_WORD;
	tail = url[whole];
	/* The zeroes behind the URL become 0x7f, which word_controls() does not flag. */
	reading->suspicious |=
		word_controls(tail | (WORD_ONES * 0x7f & ~word_first_bytes(~0ULL, left)));
	checksum_add(&reading->sum, tail, &url[whole]);
	sum = checksum_of_words(reading->sum) + frame->addresses_sum +
	      (ICP_FORCE __u16)host_to_be16(IPPROTO_UDP) + (ICP_FORCE __u16)frame->source_port +
	      (ICP_FORCE __u16)frame->destination_port;
	scratch->kept_sum = sum;

	if (frame->checksum) {
		__u64 size_sum = (ICP_FORCE __u16)host_to_be16(frame->udp_size);
		__u64 pseudo = frame->addresses_sum + (ICP_FORCE __u16)host_to_be16(IPPROTO_UDP) +
			       size_sum;
		bool full;

		for (i = 0; i < MESSAGE_URL_WORD; i++)
			sum += checksum_word(&words[i]);
		full = checksum_is_full(sum + 2 * size_sum + frame->checksum);
		if (!full || generic_mode) {
			partial = checksum_is_partial(frame->checksum, pseudo);
			if (!full && !partial)
				return refuse(ICP_COUNT_PASSED_CHECKSUM);
			/* One in 65536 is both; which it is matters in generic mode (answer.h). */
			if (full && partial)
				return refuse(ICP_COUNT_PASSED_OFFLOAD);
		}
	}
	frame->partial = partial;

	if (icp_fields_form(&scratch->message.query.header, frame->udp_size - sizeof(struct udphdr),
			    chain->answer_request_zero) != ICP_FORM_QUERY)
		return refuse(ICP_COUNT_PASSED_MALFORMED);
	if (tail != word_first_bytes(tail, left)) /* the last byte is not the NUL */
		return refuse(ICP_COUNT_PASSED_MALFORMED);
	scratch->form = ICP_FORM_QUERY;
	if (controls_any(reading->suspicious)) {
		scratch->form = find_form(scratch);
		if (scratch->form == ICP_FORM_NO_URL)
			return refuse(ICP_COUNT_PASSED_MALFORMED);
	}
	return ICP_COUNT_ANSWERED;
}

#endif
