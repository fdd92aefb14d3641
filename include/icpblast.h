/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What icpblast's programs in the kernel and its frontend share: the queries as they are sent, how
 * replies are counted, and the request number, which links a reply to its query.
 */
#ifndef XDP_ICP_ICPBLAST_H
#define XDP_ICP_ICPBLAST_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "checksum.h"
#include "icp.h"

#define BLAST_URL_MAX 255u /* bytes, without the NUL */
#define BLAST_URL_WORDS ((BLAST_URL_MAX + 1) / ICP_WORD)
#define BLAST_HEADERS_MAX                                                                          \
	(sizeof(struct ethhdr) + sizeof(struct ipv6hdr) + sizeof(struct udphdr) +                  \
	 ICP_QUERY_HEADER_SIZE)
#define BLAST_FRAME_MAX (BLAST_HEADERS_MAX + BLAST_URL_MAX + 1) /* bytes */

/*
 * The request number: the query's index plus one in the lower config.index_bits, so that it is never
 * 0, and above them the slot in which a sampled query has left the time of its departure; 0: not
 * sampled.
 */
#define BLAST_QUERIES_MAX ((1u << 20) - 1)
#define BLAST_SLOTS_MAX (1u << 18) /* 4 MB: enough for 26 s at 10,000 samples a second */

/* A bit for each opcode that a reply may have. None: no reply is expected. */
#define BLAST_ALLOWED(opcode) (1u << (opcode))
#define BLAST_OPCODES 24

/*
 * A query: what is its own. The headers before its URL are alike in all but lengths and checksums,
 * so they lie in the configuration, once: the fewer cache lines and pages the queries take, the less
 * the generator costs. The values in the map have room for the longest URL there is, no more.
 */
struct blast_query {
	__u32 allowed;
	__u16 url_size; /* bytes with the NUL */
	__u16 url_sum;	/* of the URL and its NUL */
	__u16 ip_check; /* the header checksum; IPv4 alone */
	__u16 sum;	/* of all that the UDP checksum covers but source port and request number */
	__u32 zero;
	__u8 url[BLAST_URL_WORDS * ICP_WORD] __attribute__((aligned(8))); /* zero-padded */
};

/* A cache line of the draws: which queries are sent, one after the other. */
#define BLAST_DRAWS_A_LINE 16u

struct blast_draws {
	__u32 index[BLAST_DRAWS_A_LINE];
};

struct blast_slot {
	__u64 time;  /* nanoseconds of the monotonic clock; 0: free */
	__u64 index; /* of the query */
};

/* Set before the programs are loaded. Addresses in network order, IPv4 in the last word. */
struct blast_config {
	__u8 ipv6;
	__u8 echo; /* the reply is the query itself, its addresses exchanged */
	__u8 own_mac[ETH_ALEN];
	__u8 mac[ETH_ALEN];
	__be16 port;
	__u16 first_port; /* source ports: this one and the next, `ports` of them; host order */
	__u16 ports;
	__u32 own[4];
	__u32 address[4];
	__u32 url_words;  /* of the longest URL, with its NUL */
	__u32 frame_max;  /* bytes of the longest query's frame */
	__u32 draws_mask; /* the draws are a power of two */
	__u32 index_bits; /* of the request number */
	__u32 slots;
	__u32 sample;	/* one in this many is timed; 0: none */
	__u64 interval; /* nanoseconds from a query to the next on one core; 0: flat out */
	__u64 deadline; /* nanoseconds within which a reply counts as in time */
	/* Of every frame, from Ethernet to the requester's address; lengths and checksums are 0. */
	__u64 headers[(BLAST_HEADERS_MAX + ICP_WORD - 1) / ICP_WORD];
};

/* One core's generator. */
struct blast_sender {
	__u64 budget; /* queries left to send */
	__u64 next;   /* time of the next, if the rate is limited */
	__u32 draw;   /* where in the draws */
	__u32 port;   /* 0 to ports - 1 */
	__u32 unsampled;
	__u32 slot, first_slot, end_slot;
};

/* The faults of a reply, of which the first one found counts. X(identifier, name) */
#define BLAST_FAULTS(X)                                                                            \
	X(HEADER, "header") /* of Ethernet or IP: not the query's turned round, or a fragment */   \
	X(LENGTH, "length") /* of IP, UDP, ICP, or the frame: not the query's */                   \
	X(IP_CHECKSUM, "ip_checksum")                                                              \
	X(UDP_CHECKSUM, "udp_checksum")                                                            \
	X(VERSION, "version")                                                                      \
	X(NUMBER, "request_number") /* no query has this one */                                    \
	X(OPTIONS, "options")	    /* none were asked for */                                      \
	X(URL, "url")		    /* not the query's */                                          \
	X(OPCODE, "opcode")	    /* not one that the query expects */                           \
	X(TWICE, "twice")	    /* another reply to a query that was sampled */

enum blast_fault {
#define X(identifier, name) BLAST_FAULT_##identifier,
	BLAST_FAULTS(X)
#undef X
	BLAST_FAULT_MAX
};

/* Latencies: 32 buckets for each power of two, so that a percentile is right to 3 %. */
#define BLAST_SUB_BITS 5
#define BLAST_BUCKETS (36u << BLAST_SUB_BITS) /* up to 18 minutes */

/* Of one core; they are added up. */
struct blast_counts {
	__u64 sent;
	__u64 sent_unanswerable; /* of these, to which no reply is expected */
	__u64 sent_sampled;
	__u64 good[BLAST_OPCODES];    /* by opcode */
	__u64 bad[BLAST_FAULT_MAX];   /* by fault */
	__u64 unsummed;		      /* of the good: the UDP checksum was left to an offload */
	__u64 in_time;		      /* of the sampled */
	__u64 latency[BLAST_BUCKETS]; /* of the sampled */
};

ICP_INLINE __u32 blast_udp_offset(bool ipv6)
{
	return sizeof(struct ethhdr) + (ipv6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
}

/* Bytes of the headers before a URL, in a query or a reply. */
ICP_INLINE __u32 blast_headers(bool ipv6, bool query)
{
	return blast_udp_offset(ipv6) + sizeof(struct udphdr) +
	       (query ? ICP_QUERY_HEADER_SIZE : ICP_HEADER_SIZE);
}

/* Bytes to leave free before a frame, so that its URL begins at a word. */
ICP_INLINE __u32 blast_lead(bool ipv6, bool query)
{
	return -blast_headers(ipv6, query) % ICP_WORD;
}

/* Fill in this query's fields in a frame's headers, which were copied from the configuration. */
ICP_INLINE void blast_finish(__u8 *frame, bool ipv6, const struct blast_query *query, __u16 port,
			     __u32 number)
{
	struct udphdr *udp = (struct udphdr *)(frame + blast_udp_offset(ipv6));
	struct icp_header *header = (struct icp_header *)(udp + 1);
	__u16 size = ICP_QUERY_HEADER_SIZE + query->url_size;

	header->length = host_to_be16(size);
	header->request_number = host_to_be32(number);
	size += sizeof(*udp);
	udp->source = host_to_be16(port);
	udp->len = host_to_be16(size);
	udp->check = (ICP_FORCE __sum16)checksum_udp_field((__u64)query->sum +
							   (ICP_FORCE __u16)udp->source +
							   (ICP_FORCE __u32)header->request_number);
	if (ipv6) {
		struct ipv6hdr *ip = (struct ipv6hdr *)udp - 1;

		ip->payload_len = host_to_be16(size);
	} else {
		struct iphdr *ip = (struct iphdr *)udp - 1;

		ip->tot_len = host_to_be16(sizeof(*ip) + size);
		ip->check = (ICP_FORCE __sum16)query->ip_check;
	}
}

#endif
