/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading the ICP message: one pass over the packet's words that copies them, and yields the
 * checksum, the hash sums for the match and the suspicion of bytes that no URL has.
 */
#ifndef XDP_ICP_MESSAGE_H
#define XDP_ICP_MESSAGE_H

#include "frame.h"

/* Less is no query with a URL: the header, one byte and the NUL. */
#define MESSAGE_MIN (ICP_QUERY_HEADER_SIZE + 2)

struct message {
	__u32 size;	    /* bytes: MESSAGE_MIN to MESSAGE_MAX */
	__u32 url_length;   /* bytes without the NUL: 1 to PREFIX_URL_MAX */
	__u64 kept_sum;	    /* checksum over what the answer has too: addresses, ports, URL, NUL */
	enum icp_form form; /* ICP_FORM_QUERY or ICP_FORM_WHITE_SPACE */
};

/* What the pass over the URL's words has come to. */
struct reading {
	__u64 sum; /* of the checksum */
	__u64 hash_sum;
	__u64 suspicious; /* of word_controls() */
};

ICP_INLINE void read_word(struct reading *reading, __u32 number, __u64 word,
			  const struct map_chain *chain, struct scratch *scratch)
{
	reading->sum = checksum_add(reading->sum, word);
	reading->suspicious |= word_controls(word);
	scratch->sums.before[number] = reading->hash_sum;
	reading->hash_sum += prefix_product(word, chain->prefixes.keys.word[number]);
}

/*
 * A message that does not lie in one piece, or has something behind it: by the helper, which takes
 * longer than all the rest of reading. False: the frame is shorter than it says.
 */
ICP_INLINE bool message_copy_slowly(struct xdp_md *ctx, __u32 offset, __u32 size, __u32 whole,
				    const struct map_chain *chain, struct scratch *scratch,
				    struct reading *reading)
{
	text_word *words = scratch->message.words;
	__u32 last = size / ICP_WORD;

	if (bpf_xdp_load_bytes(ctx, offset, words, size))
		return false;
	/* What the last query left behind this one's end goes. */
	words[last] = word_first_bytes(words[last], size % ICP_WORD);
	for (__u32 i = 0; i < PREFIX_WORDS; i++) {
		if (i >= whole)
			break;
		read_word(reading, i, words[MESSAGE_URL_WORD + i], chain, scratch);
	}
	return true;
}

/*
 * Copies the message, MESSAGE_MIN to MESSAGE_MAX bytes, out of the packet, zero-padded to the word,
 * and reads the URL's words but the last, of which there are `whole`. Mostly the message ends with
 * the frame: then it is one loop with one end, for each is a branch that nothing foretells. Returns
 * false where the frame is shorter than it says.
 */
ICP_INLINE bool message_copy(struct xdp_md *ctx, __u32 offset, __u32 size, __u32 whole,
			     const struct map_chain *chain, struct scratch *scratch,
			     struct reading *reading)
{
	const char *end = (const char *)(long)ctx->data_end;
	const char *from = (const char *)(long)ctx->data;
	text_word *words = scratch->message.words;
	text_word *url = words + MESSAGE_URL_WORD;
	__u32 last_word = size - ICP_WORD;
	const char *last;

	ICP_BOUNDED(last_word); /* or the packet's end is compared, and the word lies before it */
	if (offset > MESSAGE_OFFSET_MAX) /* never: for the verifier */
		return false;
	last = from + offset + last_word;
	if (end - from != offset + size || from + offset + ICP_QUERY_HEADER_SIZE > end ||
	    last + ICP_WORD > end)
		return message_copy_slowly(ctx, offset, size, whole, chain, scratch, reading);
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
		read_word(reading, i, word, chain, scratch);
		from += ICP_WORD;
	}
	return true;
}

/* ICP_COUNT_ANSWERED: `scratch` and `message` are filled. Else the reason to pass. */
ICP_INLINE enum icp_counter message_read(struct xdp_md *ctx, const struct map_chain *chain,
					 struct scratch *scratch, struct message *message)
{
	struct frame *frame = &scratch->frame;
	text_word *words = scratch->message.words;
	text_word *url = words + MESSAGE_URL_WORD;
	struct reading reading;
	__u64 sum, tail;
	__u32 size, length, whole, left, i;
	bool partial = false;

	size = frame->udp_size - sizeof(struct udphdr);
	/* Or the compiler computes it anew further down, where the verifier knows no bounds. */
	asm volatile("" : "+r"(size));
	if (size < MESSAGE_MIN)
		return ICP_COUNT_PASSED_MALFORMED;
	if (size > MESSAGE_MAX)
		return ICP_COUNT_PASSED_LONG;
	ICP_BOUNDED(size);
	message->size = size;
	scratch->url_length = size - MESSAGE_MIN + 1;
	message->url_length = length = scratch_url_length(scratch);
	whole = length / ICP_WORD % PREFIX_WORDS; /* it is less: a bound for the verifier */
	ICP_BOUNDED(whole); /* or the compiler leaves out the loops' own, which it needs too */
	reading.sum = frame->addresses_sum + (ICP_FORCE __u16)host_to_be16(IPPROTO_UDP) +
		      (ICP_FORCE __u16)frame->source_port +
		      (ICP_FORCE __u16)frame->destination_port;
	reading.hash_sum = 0;
	reading.suspicious = 0;
	if (!message_copy(ctx, frame->message_offset, size, whole, chain, scratch, &reading))
		return ICP_COUNT_PASSED_TRUNCATED;

	/*
	 * The last word: what is left of the URL, the NUL, and zeroes. The length is read back, so
	 * that the verifier knows no more of it than before the loop: it would look at all that
	 * follows once for each count of words.
	 */
	length = scratch_url_length(scratch);
	whole = length / ICP_WORD % PREFIX_WORDS;
	left = length % ICP_WORD;
	tail = url[whole];
	scratch->sums.before[whole] = reading.hash_sum;
	scratch->sums.before[whole + 1] =
		reading.hash_sum + prefix_product(tail, chain->prefixes.keys.word[whole]);
	reading.suspicious |= word_controls(tail | ~word_first_bytes(~0ULL, left));
	message->kept_sum = sum = checksum_add(reading.sum, tail);

	if (frame->checksum) {
		__u64 size_sum = (ICP_FORCE __u16)host_to_be16(frame->udp_size);
		__u64 pseudo = frame->addresses_sum + (ICP_FORCE __u16)host_to_be16(IPPROTO_UDP) +
			       size_sum;
		bool full;

		for (i = 0; i < MESSAGE_URL_WORD; i++)
			sum = checksum_add(sum, words[i]);
		full = checksum_is_full(sum + 2 * size_sum + frame->checksum);
		if (!full || generic_mode)
			partial = checksum_is_partial(frame->checksum, pseudo);
		if (!full && !partial)
			return ICP_COUNT_PASSED_CHECKSUM;
		/* One in 65536 is both; which it is matters in generic mode alone (answer.h). */
		if (generic_mode && full && partial)
			return ICP_COUNT_PASSED_OFFLOAD;
	}
	if (generic_mode)
		frame->partial = partial;

	if (icp_header_form(&scratch->message.query.header, size, chain->answer_request_zero) !=
	    ICP_FORM_QUERY)
		return ICP_COUNT_PASSED_MALFORMED;
	if (tail != word_first_bytes(tail, left)) /* something else where the NUL should be */
		return ICP_COUNT_PASSED_MALFORMED;
	message->form = ICP_FORM_QUERY;
	if (controls_any(reading.suspicious)) {
		message->form =
			icp_url_form((__u8 *)url, scratch_url_length(scratch), PREFIX_URL_MAX);
		if (message->form == ICP_FORM_NO_URL)
			return ICP_COUNT_PASSED_MALFORMED;
	}
	return ICP_COUNT_ANSWERED;
}

#endif
