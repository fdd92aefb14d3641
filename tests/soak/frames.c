// SPDX-License-Identifier: GPL-2.0-or-later
#include "icp.h"
#include "packet.h"
#include "plan.h"

struct offsets {
	size_t ip, udp, message;
};

static void put_sums(const struct plan *plan, struct frame *frame, const struct offsets *at)
{
	unsigned char *ip = frame->bytes + at->ip, *udp = frame->bytes + at->udp;
	unsigned int length = get16(udp + 4);
	size_t room = frame->size - at->udp;
	size_t size = plan->ipv6 ? 32 : 8;
	uint64_t sum;

	if (!plan->ipv6) {
		put16(ip + 10, 0);
		put16(ip + 10, ~sum_fold(sum_bytes(0, ip, at->udp - at->ip)) + plan->ip_sum);
	}
	put16(udp + 6, 0);
	sum = sum_pseudo(ip + (plan->ipv6 ? 8 : 12), size, length);
	sum = ~sum_fold(sum_bytes(sum, udp, length < room ? length : room)) & 0xffff;
	put16(udp + 6, plan->no_udp_sum ? 0 : (sum ? sum : 0xffff) + plan->udp_sum);
}

static size_t put_ipv4(const struct plan *plan, unsigned char *ip, size_t payload)
{
	size_t header = IPV4_HEADER + plan->option_size;

	ip[0] = 0x40 | header / 4;
	put16(ip + 2, header + payload + plan->ip_length);
	put16(ip + 4, plan->number >> 1);
	ip[8] = plan->ttl;
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, &plan->source.s6_addr[12], 4);
	memcpy(ip + 16, &plan->destination.s6_addr[12], 4);
	memcpy(ip + IPV4_HEADER, plan->options, plan->option_size);
	return header;
}

static size_t put_ipv6(const struct plan *plan, unsigned char *ip, size_t payload)
{
	ip[0] = 0x60;
	put16(ip + 4, plan->extension_size + payload + plan->ip_length);
	ip[6] = plan->extension_size ? plan->next_header : IPPROTO_UDP;
	ip[7] = plan->ttl;
	memcpy(ip + 8, &plan->source, 16);
	memcpy(ip + 24, &plan->destination, 16);
	memcpy(ip + IPV6_HEADER, plan->extensions, plan->extension_size);
	return IPV6_HEADER + plan->extension_size;
}

/* Keeps of a whole datagram what is before `plan->cut` bytes, or the rest. */
static void keep_fragment(struct plan *plan, struct frame *frame, const struct offsets *at)
{
	unsigned char *ip = frame->bytes + at->ip;
	size_t from = plan->rest ? plan->cut : 0;
	size_t size = plan->rest ? frame->size - at->udp - plan->cut : plan->cut;
	unsigned int field = plan->fragment;

	memmove(frame->bytes + at->udp, frame->bytes + at->udp + from, size);
	if (plan->ipv6) {
		unsigned char *extension = frame->bytes + at->udp;

		memmove(extension + IPV6_FRAGMENT_HEADER, extension, size);
		memset(extension, 0, IPV6_FRAGMENT_HEADER);
		extension[0] = IPPROTO_UDP;
		put16(extension + 2,
		      (field & IPV4_FRAGMENT_OFFSET) << 3 | !!(field & IPV4_MORE_FRAGMENTS));
		put32(extension + 4, plan->number >> 1);
		ip[6] = IPPROTO_FRAGMENT;
		size += IPV6_FRAGMENT_HEADER;
		put16(ip + 4, size);
	} else {
		put16(ip + 2, IPV4_HEADER + size);
		put16(ip + 6, field);
		put16(ip + 10, 0);
		put16(ip + 10, ~sum_fold(sum_bytes(0, ip, IPV4_HEADER)));
	}
	frame->size = at->udp + size;
}

/* Every byte may change but those of the request number, by which a reply is recognised. */
static void mutate(struct plan *plan, struct frame *frame, const struct offsets *at)
{
	for (unsigned int i = 0; i < plan->mutations; i++) {
		size_t place = below(plan, frame->size);

		if (place - frame->number < 4)
			continue;
		/* Headers are where most can go wrong. */
		if (!one_in(plan, 3))
			place = at->ip + below(plan, at->message + ICP_QUERY_HEADER_SIZE - at->ip);
		if (place - frame->number < 4 || place >= frame->size)
			continue;
		if (one_in(plan, 2))
			frame->bytes[place] ^= 1u << below(plan, 8);
		else
			frame->bytes[place] = draw(plan);
	}
}

static void build(struct plan *plan, struct frame *frame)
{
	unsigned char *bytes = frame->bytes;
	struct offsets at;
	size_t offset = ETH_HLEN;
	unsigned int ethertype = plan->ipv6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP;

	memset(bytes, 0, FRAME_MAX - PAYLOAD_MAX);
	memcpy(bytes, plan->server_mac, ETH_ALEN);
	memcpy(bytes + ETH_ALEN, plan->source_mac, ETH_ALEN);
	for (unsigned int i = 0; i < plan->tag_count; i++) {
		put16(bytes + offset - 2, plan->tags[i]);
		put16(bytes + offset, 1 + i);
		offset += 4;
	}
	put16(bytes + offset - 2, plan->ethertype ? plan->ethertype : ethertype);
	at.ip = offset;
	offset += plan->ipv6 ? put_ipv6(plan, bytes + offset, UDP_HEADER + plan->size)
			     : put_ipv4(plan, bytes + offset, UDP_HEADER + plan->size);
	at.udp = offset;
	put16(bytes + offset, plan->source_port);
	put16(bytes + offset + 2, plan->port);
	put16(bytes + offset + 4, UDP_HEADER + plan->size + plan->udp_length);
	at.message = offset += UDP_HEADER;
	memcpy(bytes + offset, plan->payload, plan->size);
	frame->number = offset + 4;
	frame->size = offset + plan->size;
	put_sums(plan, frame, &at);
	if (plan->mutations) {
		mutate(plan, frame, &at);
		if (plan->repair)
			put_sums(plan, frame, &at);
	}
	if (plan->fragment)
		keep_fragment(plan, frame, &at);
	else if (plan->cut && plan->cut < frame->size)
		frame->size = plan->cut < ETH_HLEN ? ETH_HLEN : plan->cut;
	if (plan->padding) {
		fill_random(plan, bytes + frame->size, plan->padding);
		frame->size += plan->padding;
	}
}

static void make(const struct frame_config *config, uint32_t number, bool whole,
		 struct frame *frame)
{
	struct plan plan;

	plan_make(config, number, &plan, &frame->kind);
	if (plan.fragment && whole)
		plan.fragment = plan.cut = 0;
	frame->silent = plan.silent;
	if (plan.bare) {
		frame->number = 0;
		frame->size = plan.size;
		memcpy(frame->bytes, plan.payload, plan.size);
		return;
	}
	build(&plan, frame);
}

void frame_make(const struct frame_config *config, uint32_t number, struct frame *frame)
{
	make(config, number, false, frame);
}

void frame_make_whole(const struct frame_config *config, uint32_t number, struct frame *frame)
{
	make(config, number, true, frame);
}
