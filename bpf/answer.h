/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Turning the query into its answer, in place. An answer lacks the query's last header word, the
 * requester host address: so the URL stays where it is, all headers are written 4 bytes nearer to
 * it, and the frame is cut at its head.
 */
#ifndef XDP_ICP_ANSWER_H
#define XDP_ICP_ANSWER_H

#include "message.h"

#define ANSWER_SHIFT ((int)(ICP_QUERY_HEADER_SIZE - ICP_HEADER_SIZE))
#define ANSWER_TTL 64
#define IPV4_DONT_FRAGMENT 0x4000

ICP_INLINE void ethernet_write(struct ethhdr *ethernet, const struct frame *frame)
{
	struct vlan_tag *tag = (struct vlan_tag *)(ethernet + 1);

	mac_copy((__u16 *)ethernet->h_dest, frame->source_mac);
	mac_copy((__u16 *)ethernet->h_source, frame->destination_mac);
	ethernet->h_proto = frame->ethertype;
	if (frame->tags > 0)
		tag[0] = frame->tag[0];
	if (frame->tags > 1)
		tag[1] = frame->tag[1];
}

ICP_INLINE void ipv4_write(struct iphdr *ip, const struct frame *frame, __u16 payload)
{
	__u64 sum = 0;

	/* Version and header length, no type of service, total length: in one, or the sum waits. */
	*(__be32 *)ip = host_to_be32(0x45u << 24 | (sizeof(*ip) + payload));
	ip->id = 0; /* RFC 6864: free to be anything where nothing is fragmented */
	ip->frag_off = host_to_be16(IPV4_DONT_FRAGMENT);
	ip->ttl = ANSWER_TTL;
	ip->protocol = IPPROTO_UDP;
	ip->check = 0;
	ip->saddr = frame->destination[3];
	ip->daddr = frame->source[3];
	for (int i = 0; i < 5; i++)
		sum += ((__u32 *)ip)[i];
	ip->check = ~checksum_fold(sum);
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

/* XDP_TX with the answer, or XDP_PASS with the query as it came. */
ICP_INLINE int answer_send(struct xdp_md *ctx, const struct scratch *scratch,
			   const struct message *message, struct icp_verdict verdict)
{
	const struct frame *frame = &scratch->frame;
	__u32 offset = frame->message_offset;
	__u32 ip_offset = frame->ip_offset;
	__u16 udp_size = frame->udp_size - ANSWER_SHIFT;
	struct icp_header header;
	struct udphdr *udp;
	void *data, *end;
	__u64 sum;

	if (offset > MESSAGE_OFFSET_MAX || ip_offset > IP_OFFSET_MAX) /* never: for the verifier */
		return -1;
	/* A driver may keep headers and payload apart; the headers must be in reach together. */
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + offset + ICP_QUERY_HEADER_SIZE > end)
		return -1;
	if (bpf_xdp_adjust_head(ctx, ANSWER_SHIFT))
		return -1;

	icp_answer_header(&header, &scratch->message.query.header, message->size - ANSWER_SHIFT,
			  verdict);
	sum = message->kept_sum + 2ull * (ICP_FORCE __u16)host_to_be16(udp_size);
	for (__u32 i = 0; i < ICP_HEADER_SIZE / 4; i++)
		sum += ((__u32 *)&header)[i];

	/* None of this can fail, see above: the verifier has forgotten what it knew of the packet. */
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
	udp->check = (ICP_FORCE __sum16)checksum_udp_field(sum);
	__builtin_memcpy(udp + 1, &header, sizeof(header));
	return XDP_TX;

undo:
	bpf_xdp_adjust_head(ctx, -ANSWER_SHIFT);
	return -1;
}

#endif
