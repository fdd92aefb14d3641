/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Read the ICP message: one pass over the packet's words that copies them, computes the checksum,
 * and checks for bytes that no URL contains.
 */
#ifndef XDP_ICP_MESSAGE_H
#define XDP_ICP_MESSAGE_H

#include "frame.h"

/* The shortest query with a URL: the header, one byte and the NUL. */
#define MESSAGE_MIN (ICP_QUERY_HEADER_SIZE + 2)

/* The results of the pass over the URL's words. */
struct reading {
	struct checksum sum;
	__u64 suspicious; /* of word_controls() */
};

ICP_INLINE void read_word(struct reading *reading, __u64 word)
{
	checksum_add(&reading->sum, word);
	reading->suspicious |= word_controls(word);
}

/*
 * Copy a message that is split, or is followed by padding, with the helper, which takes longer than
 * all other reading together. Returns false if the frame is shorter than its headers say.
 */
ICP_INLINE bool message_copy_slowly(struct xdp_md *ctx, __u32 offset, __u32 size, __u32 whole,
				    struct scratch *scratch, struct reading *reading)
{
	text_word *words = scratch->message.words;
	__u32 last = size / ICP_WORD;

	if (bpf_xdp_load_bytes(ctx, offset, words, size))
		return false;
	/* Clear what the last query has left behind the end of this one. */
	words[last] = word_first_bytes(words[last], size % ICP_WORD);
	for (__u32 i = 0; i < PREFIX_WORDS; i++) {
		if (i >= whole)
			break;
		read_word(reading, words[MESSAGE_URL_WORD + i]);
	}
	return true;
}

/*
 * Copy the message, MESSAGE_MIN to MESSAGE_MAX bytes, out of the packet, zero-padded to the word, and
 * read all words of the URL but the last, `whole` words. Usually the message ends with the frame:
 * then one loop with a single exit does it, because each exit is an unpredictable branch. Returns
 * false if the frame is shorter than its headers say.
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
		return message_copy_slowly(ctx, offset, size, whole, scratch, reading);
	from += offset;
#pragma unroll
	for (__u32 i = 0; i < MESSAGE_URL_WORD; i++)
		words[i] = ((const text_word *)from)[i];
	url[whole] = word_last_bytes(*(const text_word *)last, (size - 1) % ICP_WORD + 1);
	from += ICP_QUERY_HEADER_SIZE;

	for (__u32 i = 0; i < PREFIX_WORDS; i++) {
		__u64 word;

		if (from + ICP_WORD >= end) /* the last word, read above */
			break;
		word = *(const text_word *)from;
		url[i] = word;
		read_word(reading, word);
		from += ICP_WORD;
		ICP_BOUNDED(from); /* or the compiler computes it from `i` */
	}
	return true;
}

/* Fills `scratch` and returns ICP_COUNT_ANSWERED; or returns the reason to pass. */
ICP_INLINE enum icp_counter message_read(struct xdp_md *ctx, const struct map_chain *chain,
					 struct scratch *scratch)
{
	struct frame *frame = &scratch->frame;
	text_word *words = scratch->message.words;
	text_word *url = words + MESSAGE_URL_WORD;
	struct reading reading;
	__u64 headers_sum, tail;
	__u32 size, length, whole, left, i;
	bool partial = false;

	size = frame->udp_size - sizeof(struct udphdr);
	/* Or the compiler computes it again further down, where the verifier knows no bounds. */
	asm volatile("" : "+r"(size));
	if (size < MESSAGE_MIN)
		return ICP_COUNT_PASSED_MALFORMED;
	if (size > MESSAGE_MAX)
		return ICP_COUNT_PASSED_LONG;
	ICP_BOUNDED(size);
	scratch->url_length = size - MESSAGE_MIN + 1;
	length = scratch_url_length(scratch);
	whole = length / ICP_WORD % PREFIX_WORDS; /* it is less: a bound for the verifier */
	ICP_BOUNDED(whole); /* or the compiler leaves out the loops' own, which it needs too */
	__builtin_memset(&reading, 0, sizeof(reading));
	if (!message_copy(ctx, frame->message_offset, size, whole, scratch, &reading))
		return ICP_COUNT_PASSED_TRUNCATED;

	/*
	 * The last word: the rest of the URL, the NUL, and zeroes. The length is read back, so that
	 * the verifier knows no more of it than before the loop: it would follow the code behind
	 * once for each number of words.
	 */
	length = scratch_url_length(scratch);
	whole = length / ICP_WORD % PREFIX_WORDS;
	left = length % ICP_WORD;
	tail = url[whole];
	reading.suspicious |= word_controls(tail | ~word_first_bytes(~0ULL, left));
	checksum_add(&reading.sum, tail);
	headers_sum = frame->addresses_sum + (ICP_FORCE __u16)host_to_be16(IPPROTO_UDP) +
		      (ICP_FORCE __u16)frame->source_port +
		      (ICP_FORCE __u16)frame->destination_port;
	scratch->kept_sum = headers_sum + checksum_total(reading.sum);

	if (frame->checksum) {
		__u64 size_sum = (ICP_FORCE __u16)host_to_be16(frame->udp_size);
		__u64 pseudo = frame->addresses_sum + (ICP_FORCE __u16)host_to_be16(IPPROTO_UDP) +
			       size_sum;
		bool full;

		for (i = 0; i < MESSAGE_URL_WORD; i++)
			checksum_add(&reading.sum, words[i]);
		full = checksum_is_full(headers_sum + checksum_total(reading.sum) + 2 * size_sum +
					frame->checksum);
		if (!full || generic_mode) {
			partial = checksum_is_partial(frame->checksum, pseudo);
			if (!full && !partial)
				return ICP_COUNT_PASSED_CHECKSUM;
			/* One in 65536 is both; which it is matters in generic mode (answer.h). */
			if (full && partial)
				return ICP_COUNT_PASSED_OFFLOAD;
		}
	}
	frame->partial = partial;

	if (icp_header_form(&scratch->message.query.header, size, chain->answer_request_zero) !=
	    ICP_FORM_QUERY)
		return ICP_COUNT_PASSED_MALFORMED;
	if (tail != word_first_bytes(tail, left)) /* the last byte is not the NUL */
		return ICP_COUNT_PASSED_MALFORMED;
	scratch->form = ICP_FORM_QUERY;
	if (controls_any(reading.suspicious)) {
		scratch->form =
			icp_url_form((__u8 *)url, scratch_url_length(scratch), PREFIX_URL_MAX);
		if (scratch->form == ICP_FORM_NO_URL)
			return ICP_COUNT_PASSED_MALFORMED;
	}
	return ICP_COUNT_ANSWERED;
}

#endif
