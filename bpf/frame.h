/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Classify a frame: is it a datagram that one of the daemon's sockets would receive, in a form
 * simple enough to reply to here? (Rules K1, R7, R9.) Nothing is changed.
 *
 * A frame's destination is tested before anything else about it is called wrong: what is not for
 * this responder passes as "foreign", whatever its other faults.
 */
#ifndef XDP_ICP_FRAME_H
#define XDP_ICP_FRAME_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "checksum.h"
#include "maps_bpf.h"

#define IPV4_RESERVED_OR_MORE_OR_OFFSET 0xbfff /* frag_off: all but "don't fragment" */
#define IPV4_OFFSET 0x1fff

/* May a querier have this address? (Rule R7.) */
ICP_INLINE bool ipv4_is_querier(__u32 address, bool loopback)
{
	__u32 host = ICP_SWAP32(address);

	if (host >> 24 == 0 || host >> 28 == 0xe || host == 0xffffffff)
		return false;
	return host >> 24 != 127 || loopback;
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

ICP_INLINE bool ethertype_is_vlan(__be16 ethertype)
{
	return ethertype == host_to_be16(ETH_P_8021Q) || ethertype == host_to_be16(ETH_P_8021AD);
}

/* A subnet's broadcast address ends in the bits 11, unless an administrator has set another. */
ICP_INLINE bool ipv4_is_broadcast(__u32 address, __u32 ifindex, bool odd_broadcast)
{
	struct destination_key key = { .ifindex = ifindex };

	if ((ICP_SWAP32(address) & 3) != 3 && !odd_broadcast)
		return false;
	*(__u32 *)(key.address + 8) = (ICP_FORCE __u32)host_to_be32(0xffff);
	*(__u32 *)(key.address + 12) = address;
	return bpf_map_lookup_elem(&destinations, &key) != NULL;
}

/* Compare by the words that the key was written by: a wider load would wait for all the stores. */
ICP_INLINE bool destination_key_is(const struct destination_key *a, const struct destination_key *b)
{
	const __u32 *left = (const __u32 *)a->address, *right = (const __u32 *)b->address;

	return ((left[0] ^ right[0]) | (left[1] ^ right[1]) | (left[2] ^ right[2]) |
		(left[3] ^ right[3]) | (a->ifindex ^ b->ifindex) |
		((ICP_FORCE __u16)a->port ^ (ICP_FORCE __u16)b->port)) == 0;
}

/*
 * Find the destination of a packet. NULL: it is not for this responder. A lookup in a hash map with a
 * key of this size takes as long as matching a prefix, and usually finds the same entry as the last
 * one: that is cached.
 */
ICP_INLINE const struct destination *destination_find(const struct destination_key *key,
						      __u32 version, struct scratch *scratch)
{
	const struct destination *found;

	if (scratch->last.version == version && destination_key_is(&scratch->last.key, key))
		return &scratch->last.value;
	found = bpf_map_lookup_elem(&destinations, key);
	if (!found)
		return NULL;
	scratch->last.key = *key;
	scratch->last.value = *found;
	scratch->last.version = version;
	return &scratch->last.value;
}

/* Returns ICP_COUNT_ANSWERED if the datagram may get a reply, else the reason to pass it. */
ICP_INLINE enum icp_counter frame_classify(struct xdp_md *ctx, const struct map_control *control,
					   struct scratch *scratch)
{
	struct frame *frame = &scratch->frame;
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct destination_key key = { .ifindex = ctx->ingress_ifindex };
	struct ethhdr *ethernet = data;
	const struct destination *destination;
	const __u16 *mac;
	struct udphdr *udp;
	__u32 offset = sizeof(*ethernet);
	__u32 ip_payload;
	__u64 header_sum = 0;
	bool options = false;
	bool fragment = false;
	bool loopback;
	__be16 ethertype;

	if ((void *)(ethernet + 1) > end)
		return ICP_COUNT_PASSED_FOREIGN;
	mac_copy(frame->destination_mac, (const __u16 *)ethernet->h_dest);
	mac_copy(frame->source_mac, (const __u16 *)ethernet->h_source);
	frame->ethertype = ethertype = ethernet->h_proto;
	frame->tags = 0;
	if (ethertype_is_vlan(ethertype)) {
		struct vlan_tag *tag = data + sizeof(*ethernet);

		if ((void *)(tag + 1) > end)
			return ICP_COUNT_PASSED_FOREIGN;
		frame->tag[0] = *tag;
		frame->tags = 1;
		ethertype = tag->ethertype;
		offset += sizeof(*tag);
		if (ethertype_is_vlan(ethertype)) {
			tag++;
			if ((void *)(tag + 1) > end)
				return ICP_COUNT_PASSED_FOREIGN;
			frame->tag[1] = *tag;
			frame->tags = 2;
			ethertype = tag->ethertype;
			offset += sizeof(*tag);
			if (ethertype_is_vlan(ethertype))
				return ICP_COUNT_PASSED_VLAN;
		}
	}
	frame->ip_offset = offset;

	if (ethertype == host_to_be16(ETH_P_IP)) {
		struct iphdr *ip = data + offset;
		__u32 header;

		if ((void *)(ip + 1) > end)
			return ICP_COUNT_PASSED_FOREIGN;
		header = ip->ihl * 4;
		if (ip->version != 4 || header < sizeof(*ip) || ip->protocol != IPPROTO_UDP ||
		    ip->frag_off & host_to_be16(IPV4_OFFSET))
			return ICP_COUNT_PASSED_FOREIGN;
		frame->ipv6 = false;
		frame->source[3] = ip->saddr;
		frame->destination[3] = ip->daddr;
		frame->addresses_sum = (__u64)ip->saddr + ip->daddr;
		for (int i = 0; i < 5; i++)
			header_sum += ((__u32 *)ip)[i];
		options = header != sizeof(*ip);
		fragment = ip->frag_off & host_to_be16(IPV4_RESERVED_OR_MORE_OR_OFFSET);
		ip_payload = be16_to_host(ip->tot_len) - header;
		offset += header;
		*(__u32 *)(key.address + 8) = (ICP_FORCE __u32)host_to_be32(0xffff);
		*(__u32 *)(key.address + 12) = ip->daddr;
	} else if (ethertype == host_to_be16(ETH_P_IPV6)) {
		struct ipv6hdr *ip = data + offset;

		if ((void *)(ip + 1) > end)
			return ICP_COUNT_PASSED_FOREIGN;
		if (ip->version != 6)
			return ICP_COUNT_PASSED_FOREIGN;
		if (ip->nexthdr != IPPROTO_UDP)
			return ipv6_is_extension(ip->nexthdr) ? ICP_COUNT_PASSED_IPV6_EXTENSION
							      : ICP_COUNT_PASSED_FOREIGN;
		frame->ipv6 = true;
		frame->addresses_sum = 0;
		for (int i = 0; i < 4; i++) {
			frame->source[i] = ip->saddr.in6_u.u6_addr32[i];
			frame->destination[i] = ip->daddr.in6_u.u6_addr32[i];
			frame->addresses_sum += (__u64)frame->source[i] + frame->destination[i];
		}
		if (ipv6_is_mapped_ipv4(frame->destination))
			return ICP_COUNT_PASSED_FOREIGN;
		ip_payload = be16_to_host(ip->payload_len);
		offset += sizeof(*ip);
		__builtin_memcpy(key.address, &ip->daddr, sizeof(key.address));
	} else {
		return ICP_COUNT_PASSED_FOREIGN;
	}

	udp = data + offset;
	if ((void *)(udp + 1) > end)
		return ICP_COUNT_PASSED_FOREIGN;
	key.port = frame->destination_port = udp->dest;
	if (key.port == 0)
		return ICP_COUNT_PASSED_FOREIGN;
	destination = destination_find(&key, control->destinations, scratch);
	if (!destination)
		return ICP_COUNT_PASSED_FOREIGN;

	/* From here on it is for this responder, and each reason to pass it has a counter. */
	mac = (const __u16 *)destination->mac;
	if (mac[0] != frame->destination_mac[0] || mac[1] != frame->destination_mac[1] ||
	    mac[2] != frame->destination_mac[2])
		return ICP_COUNT_PASSED_MAC;
	if (options)
		return ICP_COUNT_PASSED_IP_OPTIONS;
	if (fragment)
		return ICP_COUNT_PASSED_FRAGMENT;
	frame->source_port = udp->source;
	frame->checksum = (ICP_FORCE __u16)udp->check;
	frame->udp_size = be16_to_host(udp->len);
	frame->message_offset = offset + sizeof(*udp);
	if (frame->udp_size != ip_payload || frame->udp_size < sizeof(*udp))
		return ICP_COUNT_PASSED_TRUNCATED;

	/* Only the loopback interface has no MAC address, and only it sees ::1 and 127/8. */
	loopback = !(frame->destination_mac[0] | frame->destination_mac[1] |
		     frame->destination_mac[2]);
	if (frame->source_port == 0 || frame->source_mac[0] & ICP_SWAP16(0x0100))
		return ICP_COUNT_PASSED_SOURCE;
	if (frame->ipv6) {
		if (!ipv6_is_querier(frame->source, loopback))
			return ICP_COUNT_PASSED_SOURCE;
		if (frame->checksum == 0) /* RFC 8200 section 8.1: required */
			return ICP_COUNT_PASSED_CHECKSUM;
	} else {
		if (!ipv4_is_querier(frame->source[3], loopback) ||
		    ipv4_is_broadcast(frame->source[3], ctx->ingress_ifindex,
				      control->odd_broadcast))
			return ICP_COUNT_PASSED_SOURCE;
		if (checksum_fold(header_sum) != 0xffff)
			return ICP_COUNT_PASSED_CHECKSUM;
	}
	return ICP_COUNT_ANSWERED;
}

#endif
