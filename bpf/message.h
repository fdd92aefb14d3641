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
	__u64 url_sum;	    /* checksum over the URL and its NUL */
	enum icp_form form; /* ICP_FORM_QUERY or ICP_FORM_WHITE_SPACE */
};

/* What the pass over the URL's words has come to. */
struct reading {
	__u64 sum; /* of the checksum */
	__u64 hash_sum;
	__u64 suspicious; /* not 0: a byte that no URL has */
};

ICP_INLINE void read_word(struct reading *reading, __u32 number, __u64 word,
			  const struct map_chain *chain, struct scratch *scratch)
{
	reading->sum = checksum_add(reading->sum, word);
	reading->suspicious |= word_has_control(word);
	scratch->sums.before[number] = reading->hash_sum;
	reading->hash_sum += prefix_product(word, chain->prefixes.keys.word[number]);
}

/*
 * Copies the message, MESSAGE_MIN to MESSAGE_MAX bytes, out of the packet, zero-padded to the word,
 * and reads the URL's words but the last, `whole`. Where the message lies in one piece both is done
 * in one loop: the helper takes longer than all the rest of reading, and each loop's end is a branch
 * that nothing foretells. Returns false where the frame is shorter than it says.
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
	from += offset;
	last = from + last_word;
	if (last + ICP_WORD > end || from + ICP_QUERY_HEADER_SIZE > end) {
		if (bpf_xdp_load_bytes(ctx, offset, words, size))
			return false;
		/* What the last query left behind this one's end goes. */
		words[size / ICP_WORD] = word_first_bytes(words[size / ICP_WORD], size % ICP_WORD);
		for (__u32 i = 0; i < PREFIX_WORDS - 1; i++) {
			if (i >= whole)
				break;
			read_word(reading, i, url[i], chain, scratch);
		}
		return true;
	}
#pragma unroll
	for (__u32 i = 0; i < MESSAGE_URL_WORD; i++)
		words[i] = ((const text_word *)from)[i];
	from += ICP_QUERY_HEADER_SIZE;
	url[whole] = word_last_bytes(*(const text_word *)last, (size - 1) % ICP_WORD + 1);
	for (__u32 i = 0; i < PREFIX_WORDS - 1; i++) {
		if (i >= whole || from + ICP_WORD > end)
			break;
		url[i] = *(const text_word *)from;
		read_word(reading, i, url[i], chain, scratch);
		from += ICP_WORD;
	}
	return true;
}

/* ICP_COUNT_ANSWERED: `scratch` and `message` are filled. Else the reason to pass. */
ICP_INLINE enum icp_counter message_read(struct xdp_md *ctx, const struct map_chain *chain,
					 struct scratch *scratch, struct message *message)
{
	const struct frame *frame = &scratch->frame;
	text_word *words = scratch->message.words;
	text_word *url = words + MESSAGE_URL_WORD;
	struct reading reading = { 0 };
	__u64 pseudo, sum, tail;
	__u32 size, length, whole, left, i;

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
	whole = length / ICP_WORD;
	if (whole > PREFIX_WORDS - 1) /* never: a bound for the verifier */
		return ICP_COUNT_PASSED_FAILED;
	ICP_BOUNDED(whole);
	if (!message_copy(ctx, frame->message_offset, size, whole, chain, scratch, &reading))
		return ICP_COUNT_PASSED_TRUNCATED;

	/*
	 * The last word: what is left of the URL, the NUL, and zeroes. The length is read back, so
	 * that the verifier knows no more of it than before the loop: it would look at all that
	 * follows once for each count of words.
	 */
	length = scratch_url_length(scratch);
	whole = length / ICP_WORD;
	left = length % ICP_WORD;
	if (whole > PREFIX_WORDS - 1) /* never: a bound for the verifier */
		return ICP_COUNT_PASSED_FAILED;
	tail = url[whole];
	sum = checksum_add(reading.sum, tail);
	scratch->sums.before[whole] = reading.hash_sum;
	scratch->sums.before[whole + 1] =
		reading.hash_sum + prefix_product(tail, chain->prefixes.keys.word[whole]);
	reading.suspicious |= word_has_control(tail | ~word_first_bytes(~0ULL, left));
	message->url_sum = sum;

	pseudo = frame->addresses_sum + (ICP_FORCE __u16)host_to_be16(IPPROTO_UDP) +
		 (ICP_FORCE __u16)host_to_be16(frame->udp_size);
	if (frame->checksum) {
		for (i = 0; i < MESSAGE_URL_WORD; i++)
			sum = checksum_add(sum, words[i]);
		sum = checksum_add(sum, pseudo + (ICP_FORCE __u16)frame->source_port +
						(ICP_FORCE __u16)frame->destination_port +
						(ICP_FORCE __u16)host_to_be16(frame->udp_size) +
						frame->checksum);
		if (!checksum_good(frame->checksum, pseudo, sum))
			return ICP_COUNT_PASSED_CHECKSUM;
	}

	if (icp_header_form(&scratch->message.query.header, size, chain->answer_request_zero) !=
	    ICP_FORM_QUERY)
		return ICP_COUNT_PASSED_MALFORMED;
	if (tail != word_first_bytes(tail, left)) /* something else where the NUL should be */
		return ICP_COUNT_PASSED_MALFORMED;
	message->form = ICP_FORM_QUERY;
	if (reading.suspicious) {
		message->form =
			icp_url_form((__u8 *)url, scratch_url_length(scratch), PREFIX_URL_MAX);
		if (message->form == ICP_FORM_NO_URL)
			return ICP_COUNT_PASSED_MALFORMED;
	}
	return ICP_COUNT_ANSWERED;
}

#endif
