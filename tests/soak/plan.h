/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a hostile frame is built from: kinds.c makes plans, frames.c makes frames of them. */
#ifndef XDP_ICP_SOAK_PLAN_H
#define XDP_ICP_SOAK_PLAN_H

#include "frames.h"

#define PAYLOAD_MAX 1340u /* bytes: fits a frame with all that may stand before it */
#define OPTIONS_MAX 40u	  /* bytes, of IPv4 */
#define EXTENSIONS_MAX 64u
#define TAGS_MAX 6u

/* What is not set has its right value. */
struct plan {
	uint64_t random; /* state of the generator */
	uint32_t number;
	bool second;		 /* frames come in pairs that share all random numbers */
	bool ipv6, silent, bare; /* bare: the payload is the whole frame */
	uint8_t source_mac[ETH_ALEN], server_mac[ETH_ALEN];
	unsigned int tags[TAGS_MAX], tag_count;
	struct in6_addr source, destination;
	unsigned int source_port, port, ethertype, ttl;
	unsigned int fragment;	   /* of IPv4's field; 0: none */
	bool rest;		   /* the part of the datagram behind `cut` */
	int ip_length, udp_length; /* added to the right ones */
	uint16_t ip_sum, udp_sum;  /* added to the right ones, modulo 2^16 */
	bool no_udp_sum;
	unsigned char options[OPTIONS_MAX], extensions[EXTENSIONS_MAX];
	size_t option_size, extension_size;
	uint8_t next_header; /* of IPv6, before the extensions */
	unsigned char payload[PAYLOAD_MAX];
	size_t size;	/* bytes of the payload */
	size_t cut;	/* bytes left of the frame; 0: all */
	size_t padding; /* bytes behind */
	unsigned int mutations;
	bool repair; /* the sums after those */
};

/* splitmix64: every seed starts a sequence of its own. */
static inline uint64_t draw(struct plan *plan)
{
	uint64_t z = plan->random += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* From 0 to `below` - 1. */
static inline unsigned int below(struct plan *plan, unsigned int limit)
{
	return draw(plan) % limit;
}

static inline bool one_in(struct plan *plan, unsigned int count)
{
	return below(plan, count) == 0;
}

void fill_random(struct plan *plan, unsigned char *bytes, size_t size);

/* Makes the plan of frame `number`, and names its kind. */
void plan_make(const struct frame_config *config, uint32_t number, struct plan *plan,
	       const char **kind);

#endif
