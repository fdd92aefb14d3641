// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The limit: what a responder comes to that does nothing but exchange the addresses and send the
 * frame back. No checksum changes by that. Replies a second are told as a share of this one's.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "icp.h"

ICP_INLINE void exchange(void *one, void *other, __u32 size)
{
	__u16 *a = one, *b = other;

	for (__u32 i = 0; i < size / sizeof(*a); i++) {
		__u16 kept = a[i];

		a[i] = b[i];
		b[i] = kept;
	}
}

SEC("xdp")
int limit(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = data;
	struct ipv6hdr *ipv6 = (void *)(ethernet + 1);
	struct iphdr *ip = (void *)(ethernet + 1);
	struct udphdr *udp;

	if ((void *)(ip + 1) > end)
		return XDP_PASS;
	if (ethernet->h_proto == host_to_be16(ETH_P_IP)) {
		udp = (void *)(ip + 1);
		if (ip->protocol != IPPROTO_UDP || (void *)(udp + 1) > end)
			return XDP_PASS;
		exchange(&ip->saddr, &ip->daddr, sizeof(ip->saddr));
	} else if (ethernet->h_proto == host_to_be16(ETH_P_IPV6)) {
		udp = (void *)(ipv6 + 1);
		if ((void *)(udp + 1) > end || ipv6->nexthdr != IPPROTO_UDP)
			return XDP_PASS;
		exchange(&ipv6->saddr, &ipv6->daddr, sizeof(ipv6->saddr));
	} else {
		return XDP_PASS;
	}
	exchange(ethernet->h_source, ethernet->h_dest, ETH_ALEN);
	exchange(&udp->source, &udp->dest, sizeof(udp->source));
	return XDP_TX;
}

/* What the network itself costs: all is passed, and nothing looked at. */
SEC("xdp")
int pass(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
