/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Rewriting the query into its reply, in place. A reply lacks the query's last header word, the
 * requester host address.
 *
 * Native mode: the URL stays where it is, all headers are written 4 bytes nearer to it, and the
 * frame is cut at its head. That costs nothing in the URL's length.
 *
 * Generic mode: the headers stay where they are, the URL is written 4 bytes nearer to them, and the
 * frame is cut at its tail. A socket buffer from the same host may have its checksum left to an
 * offload: it then notes where the UDP header begins, and headers that move away from there make
 * the kernel write the checksum into another field, or verify another part of the packet. The
 * field of such a reply holds what the note asks for, the sum of the pseudo-header alone.
 */
#ifndef XDP_ICP_ANSWER_H
#define XDP_ICP_ANSWER_H

#include "message.h"

#define ANSWER_SHIFT ((int)(ICP_QUERY_HEADER_SIZE - ICP_HEADER_SIZE))
#define ANSWER_TTL 64
#define IPV4_DONT_FRAGMENT 0x4000

/* By words, see packet_word: the new destination and two bytes of the new source, then the other four. */
ICP_INLINE void ethernet_write(void *to, const struct frame *frame)
{
	struct vlan_tag *tag = to + sizeof(struct ethhdr);

	*(text_word *)to = word_first_bytes(frame->from_mac, ETH_ALEN) |
			   word_to_end(frame->to_mac, ICP_WORD - ETH_ALEN);
	*(packet_word *)(to + ICP_WORD) = frame->to_mac >> 16;
	*ethernet_type(to) = (ICP_FORCE __u16)frame->ethertype;
	if (frame->tags > 0)
		tag[0] = frame->tag[0];
	if (frame->tags > 1)
		tag[1] = frame->tag[1];
}

ICP_INLINE void ipv4_write(struct iphdr *ip, const struct frame *frame, __u16 payload)
{
	/* Version and header length, no type of service, total length. */
	__u32 first = (ICP_FORCE __u32)host_to_be32(0x45u << 24 | (sizeof(*ip) + payload));
	/* RFC 6864: the identification has no meaning in a datagram that is not fragmented. */
	__u32 second = (ICP_FORCE __u32)host_to_be32(IPV4_DONT_FRAGMENT);
	__u32 third = (ICP_FORCE __u32)host_to_be32(ANSWER_TTL << 24 | IPPROTO_UDP << 16);
	__u32 *words = (__u32 *)ip;

	words[0] = first;
	words[1] = second;
	words[2] = third;
	ip->saddr = frame->destination[3];
	ip->daddr = frame->source[3];
	ip->check = ~checksum_fold(frame->addresses_sum + first + second + third);
}

ICP_INLINE void ipv6_write(struct ipv6hdr *ip, const struct frame *frame, __u16 payload)
{
	*(__be32 *)ip = host_to_be32(6u << 28); /* version; no traffic class, no flow label */
	ip->payload_len = host_to_be16(payload);
	ip->nexthdr = IPPROTO_UDP;
	ip->hop_limit = ANSWER_TTL;
	for (int i = 0; i < 4; i++) {
		ip->saddr.in6_u.u6_addr32[i] = frame->destination[i];
		ip->daddr.in6_u.u6_addr32[i] = frame->source[i];
	}
}

/*
 * Make the frame 4 bytes shorter, with the URL in its place. Returns false with the frame
 * unchanged.
 */
ICP_INLINE bool answer_shorten(struct xdp_md *ctx, const struct scratch *scratch)
{
	__u32 url = scratch->frame.message_offset + ICP_HEADER_SIZE;
	__u32 length;

	if (!generic_mode)
		return bpf_xdp_adjust_head(ctx, ANSWER_SHIFT) == 0;
	if (bpf_xdp_adjust_tail(ctx, -ANSWER_SHIFT))
		return false;
	/*
	 * It is smaller; this is a bound for the verifier, which on Linux 6.1 forgets one on the
	 * stack.
	 */
	length = scratch_url_length(scratch) % PREFIX_MAX;
	ICP_BOUNDED(length);
	/* Cannot fail: as many bytes have been read 4 bytes further back. */
	bpf_xdp_store_bytes(ctx, url, (void *)(scratch->message.words + MESSAGE_URL_WORD),
			    length + 1);
	return true;
}

/* Rewrite the query. Returns XDP_TX with the reply in the frame, or -1 with the query unchanged. */
ICP_INLINE int answer_send(struct xdp_md *ctx, const struct scratch *scratch,
			   struct icp_verdict verdict)
{
	const struct frame *frame = &scratch->frame;
	/* 64 bits wide, so that clang need not extend them before adding them to a pointer. */
	__u64 offset = frame->message_offset;
	__u64 ip_offset = frame->ip_offset;
	__u16 udp_size = frame->udp_size - ANSWER_SHIFT;
	struct icp_header header;
	struct udphdr *udp;
	void *data, *end;
	__u64 sum;

	if (offset > MESSAGE_OFFSET_MAX || ip_offset > IP_OFFSET_MAX) /* never: for the verifier */
		return -1;
	ICP_BOUNDED(offset);
	ICP_BOUNDED(ip_offset);
	/*
	 * A driver may split a frame; the headers must be contiguous. This is tested before the head is
	 * cut: if another program has put metadata before the frame, a cut moves that over the frame's
	 * first bytes, and undoing it does not bring them back.
	 */
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + offset + ICP_QUERY_HEADER_SIZE > end)
		return -1;
	if (!answer_shorten(ctx, scratch))
		return -1;

	icp_answer_header(&header, &scratch->message.query.header, udp_size - sizeof(*udp),
			  verdict);
	sum = scratch->kept_sum + 2ull * (ICP_FORCE __u16)host_to_be16(udp_size);
	for (__u32 i = 0; i < ICP_HEADER_SIZE / 4; i++)
		sum += ((__u32 *)&header)[i];

	/* None of these checks can fail, see above: the verifier has forgotten the packet's bounds. */
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + IP_OFFSET_MAX > end)
		goto undo;
	if (frame->ipv6) {
		struct ipv6hdr *ip = data + ip_offset;

		udp = (struct udphdr *)(ip + 1);
		if ((void *)(udp + 1) + ICP_HEADER_SIZE > end)
			goto undo;
		ipv6_write(ip, frame, udp_size);
	} else {
		struct iphdr *ip = data + ip_offset;

		udp = (struct udphdr *)(ip + 1);
		if ((void *)(udp + 1) + ICP_HEADER_SIZE > end)
			goto undo;
		ipv4_write(ip, frame, udp_size);
	}
	ethernet_write(data, frame);
	udp->source = frame->destination_port;
	udp->dest = frame->source_port;
	udp->len = host_to_be16(udp_size);
	if (generic_mode && frame->partial)
		udp->check = (ICP_FORCE __sum16)checksum_fold(
			frame->addresses_sum + (ICP_FORCE __u16)host_to_be16(IPPROTO_UDP) +
			(ICP_FORCE __u16)host_to_be16(udp_size));
	else
		udp->check = (ICP_FORCE __sum16)checksum_udp_field(sum);
	for (__u32 i = 0; i < ICP_HEADER_SIZE / 4; i++)
		((packet_word *)(udp + 1))[i] = ((__u32 *)&header)[i];
	return XDP_TX;

undo:
	if (!generic_mode)
		bpf_xdp_adjust_head(ctx, -ANSWER_SHIFT);
	return -1;
}

#endif
