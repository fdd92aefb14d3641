/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Classify a frame: is it a datagram that one of the daemon's sockets would receive, in a form
 * simple enough to reply to here? (Rules K1, R7, R9.) Nothing is changed.
 *
 * A frame's destination is tested before any other fault is reported: a frame that is not for this
 * responder passes as "foreign", whatever else is wrong with it.
 */
#ifndef XDP_ICP_FRAME_H
#define XDP_ICP_FRAME_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "checksum.h"
#include "lookups.h"

/* Clang reads members of packed headers byte by byte, and of those aligned to 2 by halves; these at once. */
typedef __u32 __attribute__((may_alias)) packet_word;
typedef __u16 __attribute__((may_alias)) packet_half;

#define IPV4_PLAIN 0x45			       /* the first byte: version 4, no options */
#define IPV4_RESERVED_OR_MORE_OR_OFFSET 0xbfff /* frag_off: all but "don't fragment" */
#define IPV4_OFFSET 0x1fff

/*
 * Return a reason to pass. Without the barrier the compiler loads the reason before the test, for all
 * packets.
 */
ICP_INLINE enum icp_counter refuse(enum icp_counter reason)
{
	ICP_BOUNDED(reason);
	return reason;
}

/* May a querier have this address? (Rule R7.) */
ICP_INLINE bool ipv4_is_querier(__u32 address, bool loopback)
{
	__u32 host = ICP_SWAP32(address);

	if (host >> 24 == 127)
		return loopback;
	/* 1.0.0.0 to 223.255.255.255, in one comparison. */
	if (host - 0x01000000 < 0xe0000000 - 0x01000000)
		return true;
	/* Behind multicast addresses, reserved ones. */
	return host >= 0xf0000000 && host != 0xffffffff;
}

ICP_INLINE bool ipv6_is_mapped_ipv4(const __u32 *address)
{
	return address[0] == 0 && address[1] == 0 &&
	       address[2] == (ICP_FORCE __u32)host_to_be32(0xffff);
}

ICP_INLINE bool ipv6_is_querier(const __u32 *address, bool loopback)
{
	if ((ICP_SWAP32(address[0]) >> 24) == 0xff || ipv6_is_mapped_ipv4(address))
		return false;
	if (address[0] == 0 && address[1] == 0 && address[2] == 0) {
		if (address[3] == 0)
			return false;
		return address[3] != (ICP_FORCE __u32)host_to_be32(1) || loopback;
	}
	return true;
}

/* Extension headers (RFC 8200 and later), which UDP may follow. */
ICP_INLINE bool ipv6_is_extension(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_FRAGMENT ||
	       next == IPPROTO_DSTOPTS || next == IPPROTO_AH || next == IPPROTO_MH;
}

/* The field of a struct ethhdr. */
ICP_INLINE packet_half *ethernet_type(struct ethhdr *ethernet)
{
	return (packet_half *)((void *)ethernet + offsetof(struct ethhdr, h_proto));
}

ICP_INLINE bool ethertype_is_vlan(__be16 ethertype)
{
	return ethertype == host_to_be16(ETH_P_8021Q) || ethertype == host_to_be16(ETH_P_8021AD);
}

/*
 * Is this a broadcast address of the interface? Neither inline nor static, like everything that few
 * packets need: that keeps its registers and spills out of the replies' path.
 */
__attribute__((noinline)) int find_broadcast(struct xdp_md *ctx, __u32 address)
{
	struct destination_key key;

	__builtin_memset(&key, 0, sizeof(key));
	key.ifindex = ctx->ingress_ifindex;
	*(__u32 *)(key.address + 8) = (ICP_FORCE __u32)host_to_be32(0xffff);
	*(__u32 *)(key.address + 12) = address;
	return bpf_map_lookup_elem(&destinations, &key) != NULL;
}

/* A subnet's broadcast address ends in the bits 11, unless an administrator has set another. */
ICP_INLINE bool ipv4_is_broadcast(__u32 address, struct xdp_md *ctx, bool odd_broadcast)
{
	return ((ICP_SWAP32(address) & 3) == 3 || odd_broadcast) && find_broadcast(ctx, address);
}

/* Put the entry of the frame's destination into scratch->last. Returns false if there is none. */
__attribute__((noinline)) int find_destination(struct scratch *scratch, __u32 ifindex)
{
	const struct map_control *control = lookup_control();
	const struct destination *found;
	struct destination_key key __attribute__((aligned(8))); /* copied by words */
	__u32 version;

	if (!scratch || !control) /* never: for the verifier */
		return false;
	/*
	 * Read before the lookup: if the entry changes later, so does the version, and the next
	 * packet looks it up again.
	 */
	version = ICP_READ_BACK(control->destinations);
	mapped_address((__u32 *)key.address, scratch->frame.destination, scratch->frame.ipv6);
	key.ifindex = ifindex;
	key.port = scratch->frame.destination_port;
	key.zero = 0;
	found = bpf_map_lookup_elem(&destinations, &key);
	if (!found)
		return false;
	scratch->last.key = key;
	scratch->last.value = *found;
	scratch->last.version = version;
	return true;
}

/* Compare the last destination's address with the words of another: 0 if they are equal. */
ICP_INLINE __u64 last_differs(const struct scratch *scratch, __u64 first, __u64 second)
{
	const text_word *last = (const text_word *)scratch->last.key.address;

	return (last[0] ^ first) | (last[1] ^ second);
}

/*
 * Find the destination of a packet: scratch->last. Returns false if it is not for this responder. A
 * lookup in a hash map with a key of this size takes as long as matching a prefix, and usually finds
 * the same entry as the last lookup, so that entry is cached. `difference` is of the addresses.
 */
ICP_INLINE bool destination_find(__u64 difference, __be16 port, __u32 ifindex, __u32 version,
				 struct scratch *scratch)
{
	difference |= (scratch->last.key.ifindex ^ ifindex) | (scratch->last.version ^ version) |
		      ((ICP_FORCE __u16)scratch->last.key.port ^ (ICP_FORCE __u16)port);
	return !difference || find_destination(scratch, ifindex);
}

/*
 * Returns ICP_COUNT_ANSWERED if the datagram is for this responder and simple enough, else the reason to
 * pass it.
 */
ICP_INLINE enum icp_counter frame_classify(struct xdp_md *ctx, const struct map_control *control,
					   struct scratch *scratch)
{
	struct frame *frame = &scratch->frame;
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = data;
	struct udphdr *udp;
	__u32 offset = sizeof(*ethernet);
	enum icp_counter reason = ICP_COUNT_ANSWERED; /* to pass it, in its IPv4 header */
	__u64 difference;
	__u32 ip_payload;
	__be16 ethertype;

	if ((void *)(ethernet + 1) > end)
		return refuse(ICP_COUNT_PASSED_FOREIGN);
	frame->to_mac = word_at(ethernet->h_dest);
	frame->from_mac = word_at(ethernet->h_source);
	frame->ethertype = ethertype = (ICP_FORCE __be16)*ethernet_type(ethernet);
	frame->tags = 0;
	if (ethertype_is_vlan(ethertype)) {
		struct vlan_tag *tag = data + sizeof(*ethernet);

		if ((void *)(tag + 1) > end)
			return refuse(ICP_COUNT_PASSED_FOREIGN);
		frame->tag[0] = *tag;
		frame->tags = 1;
		ethertype = tag->ethertype;
		offset += sizeof(*tag);
		if (ethertype_is_vlan(ethertype)) {
			tag++;
			if ((void *)(tag + 1) > end)
				return refuse(ICP_COUNT_PASSED_FOREIGN);
			frame->tag[1] = *tag;
			frame->tags = 2;
			ethertype = tag->ethertype;
			offset += sizeof(*tag);
			if (ethertype_is_vlan(ethertype))
				return refuse(ICP_COUNT_PASSED_VLAN);
		}
	}
	frame->ip_offset = offset;

	if (ethertype == host_to_be16(ETH_P_IP)) {
		const struct iphdr *ip = data + offset;
		__u32 header = sizeof(*ip), source, destination;
		__u64 addresses_sum;

		if ((void *)(ip + 1) > end)
			return refuse(ICP_COUNT_PASSED_FOREIGN);
		if (ip->protocol != IPPROTO_UDP)
			return refuse(ICP_COUNT_PASSED_FOREIGN);
		source = (ICP_FORCE __u32)ip->saddr;
		destination = (ICP_FORCE __u32)ip->daddr;
		addresses_sum = (__u64)source + destination;
		if (!checksum_is_full(addresses_sum + ((const __u32 *)ip)[0] +
				      ((const __u32 *)ip)[1] + ((const __u32 *)ip)[2]))
			reason = ICP_COUNT_PASSED_CHECKSUM;
		if (ip->frag_off & host_to_be16(IPV4_RESERVED_OR_MORE_OR_OFFSET)) {
			if (ip->frag_off & host_to_be16(IPV4_OFFSET))
				return refuse(ICP_COUNT_PASSED_FOREIGN);
			reason = ICP_COUNT_PASSED_FRAGMENT;
		}
		if (*(const __u8 *)ip != IPV4_PLAIN) {
			header = ip->ihl * 4;
			if (ip->version != 4 || header < sizeof(*ip))
				return refuse(ICP_COUNT_PASSED_FOREIGN);
			reason = ICP_COUNT_PASSED_IP_OPTIONS; /* which the sum is without */
		}
		ip_payload = be16_to_host(ip->tot_len) - header;
		offset += header;
		frame->ipv6 = false;
		frame->source[3] = source;
		frame->destination[3] = destination;
		frame->addresses_sum = addresses_sum;
		difference = last_differs(
			scratch, 0, word_pair((ICP_FORCE __u32)host_to_be32(0xffff), destination));
	} else if (ethertype == host_to_be16(ETH_P_IPV6)) {
		struct ipv6hdr *ip = data + offset;

		if ((void *)(ip + 1) > end)
			return refuse(ICP_COUNT_PASSED_FOREIGN);
		if (ip->version != 6)
			return refuse(ICP_COUNT_PASSED_FOREIGN);
		if (ip->nexthdr != IPPROTO_UDP)
			return refuse(ipv6_is_extension(ip->nexthdr)
					      ? ICP_COUNT_PASSED_IPV6_EXTENSION
					      : ICP_COUNT_PASSED_FOREIGN);
		frame->ipv6 = true;
		frame->addresses_sum = 0;
		for (int i = 0; i < 4; i++) {
			frame->source[i] = ip->saddr.in6_u.u6_addr32[i];
			frame->destination[i] = ip->daddr.in6_u.u6_addr32[i];
			frame->addresses_sum += (__u64)frame->source[i] + frame->destination[i];
		}
		if (ipv6_is_mapped_ipv4(frame->destination))
			return refuse(ICP_COUNT_PASSED_FOREIGN);
		ip_payload = be16_to_host(ip->payload_len);
		offset += sizeof(*ip);
		difference = last_differs(scratch, word_at(ip->daddr.in6_u.u6_addr8),
					  word_at(ip->daddr.in6_u.u6_addr8 + ICP_WORD));
	} else {
		return refuse(ICP_COUNT_PASSED_FOREIGN);
	}

	udp = data + offset;
	if ((void *)(udp + 1) > end)
		return refuse(ICP_COUNT_PASSED_FOREIGN);
	frame->destination_port = udp->dest;
	if (frame->destination_port == 0)
		return refuse(ICP_COUNT_PASSED_FOREIGN);
	if (!destination_find(difference, frame->destination_port, ctx->ingress_ifindex,
			      control->destinations, scratch))
		return refuse(ICP_COUNT_PASSED_FOREIGN);

	/* From here on it is for this responder, and each reason to pass it has a counter. */
	if (word_first_bytes(word_at(scratch->last.value.mac) ^ frame->to_mac, ETH_ALEN))
		return refuse(ICP_COUNT_PASSED_MAC);
	if (reason != ICP_COUNT_ANSWERED)
		return refuse(reason);
	frame->source_port = udp->source;
	frame->checksum = (ICP_FORCE __u16)udp->check;
	frame->udp_size = be16_to_host(udp->len);
	frame->message_offset = offset + sizeof(*udp);
	if (frame->udp_size != ip_payload || frame->udp_size < sizeof(*udp))
		return refuse(ICP_COUNT_PASSED_TRUNCATED);
	if (frame->checksum == 0 && frame->ipv6) /* RFC 8200 section 8.1: required */
		return refuse(ICP_COUNT_PASSED_CHECKSUM);
	return ICP_COUNT_ANSWERED;
}

/* May the sender of a classified frame get a reply? (Rule R7.) Returns as frame_classify(). */
ICP_INLINE enum icp_counter frame_sender(struct xdp_md *ctx, const struct map_control *control,
					 const struct scratch *scratch)
{
	const struct frame *frame = &scratch->frame;
	/* Only the loopback interface has no MAC address, and only it sees ::1 and 127/8. */
	bool loopback = !word_first_bytes(frame->to_mac, ETH_ALEN), querier;

	if (frame->source_port == 0 || *(const __u8 *)&frame->from_mac & 1)
		return refuse(ICP_COUNT_PASSED_SOURCE);
	if (frame->ipv6)
		querier = ipv6_is_querier(frame->source, loopback);
	else
		querier = ipv4_is_querier(frame->source[3], loopback) &&
			  !ipv4_is_broadcast(frame->source[3], ctx, control->odd_broadcast);
	return querier ? ICP_COUNT_ANSWERED : refuse(ICP_COUNT_PASSED_SOURCE);
}

#endif
