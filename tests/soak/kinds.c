// SPDX-License-Identifier: GPL-2.0-or-later
/* The kinds of hostile frames. */
#include <stdio.h>

#include "icp.h"
#include "packet.h"
#include "plan.h"

void fill_random(struct plan *plan, unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = draw(plan);
}

bool address_parse(const char *text, struct in6_addr *address)
{
	*address = (struct in6_addr){ .s6_addr = { [10] = 0xff, [11] = 0xff } };
	return inet_pton(AF_INET, text, &address->s6_addr[12]) == 1 ||
	       inet_pton(AF_INET6, text, address) == 1;
}

/* --- messages */

static void message_header(struct plan *plan, enum icp_opcode opcode, size_t size)
{
	plan->size = size;
	memset(plan->payload, 0, ICP_HEADER_SIZE);
	plan->payload[0] = opcode;
	plan->payload[1] = ICP_VERSION;
	put16(plan->payload + 2, size);
	put32(plan->payload + 4, plan->number);
	put32(plan->payload + 16, 0xc0000207);
}

/* A valid query for a URL of `length` bytes, or as long as its fixed part. */
static void make_query(struct plan *plan, size_t length)
{
	char *url = (char *)plan->payload + ICP_QUERY_HEADER_SIZE;
	size_t least = sprintf(url, "http://hostile.example.com/%x/", plan->number);

	if (length < least)
		length = least;
	memset(url + least, 'x', length - least);
	url[length] = '\0';
	put32(plan->payload + ICP_HEADER_SIZE, 0xc0000263);
	message_header(plan, ICP_OP_QUERY, ICP_QUERY_HEADER_SIZE + length + 1);
	if (one_in(plan, 8))
		put32(plan->payload + 8, ICP_FLAG_SRC_RTT);
}

/* --- the kinds */

typedef void make_kind(const struct frame_config *config, struct plan *plan);

static void make_good(const struct frame_config *config, struct plan *plan)
{
	plan->source_port = one_in(plan, 2) ? ICP_PORT : plan->source_port;
	plan->no_udp_sum = !plan->ipv6 && one_in(plan, 4);
}

static void make_truncated(const struct frame_config *config, struct plan *plan)
{
	plan->cut = 1 + below(plan, 40 + plan->size);
}

static void make_padded(const struct frame_config *config, struct plan *plan)
{
	plan->padding = 1 + below(plan, 64);
}

static void make_ip_sum(const struct frame_config *config, struct plan *plan)
{
	plan->ipv6 = false;
	plan->ip_sum = 1 + below(plan, 0xfffe);
}

static void make_udp_sum(const struct frame_config *config, struct plan *plan)
{
	plan->udp_sum = 1 + below(plan, 0xfffe);
	if (plan->ipv6 && one_in(plan, 4))
		plan->no_udp_sum = true;
}

static int wrong_length(struct plan *plan)
{
	static const int by[] = { -1, 1, -4, 4, -8, 8, -20, 100, -1000, 20000, 0x7fff, -0x8000 };

	return by[below(plan, sizeof(by) / sizeof(by[0]))];
}

static void make_ip_length(const struct frame_config *config, struct plan *plan)
{
	plan->ip_length = wrong_length(plan);
	plan->padding = one_in(plan, 2) ? below(plan, 64) : 0;
}

static void make_udp_length(const struct frame_config *config, struct plan *plan)
{
	plan->udp_length = wrong_length(plan);
	plan->padding = one_in(plan, 2) ? below(plan, 64) : 0;
}

static void make_icp_length(const struct frame_config *config, struct plan *plan)
{
	plan->silent = true;
	put16(plan->payload + 2, plan->size + wrong_length(plan));
}

static void make_tags(const struct frame_config *config, struct plan *plan)
{
	static const unsigned int types[] = { 0x8100, 0x88a8, 0x9100 };

	plan->tag_count = 1 + below(plan, TAGS_MAX);
	for (unsigned int i = 0; i < plan->tag_count; i++)
		plan->tags[i] = types[below(plan, one_in(plan, 4) ? 3 : 2)];
}

static void make_source(const struct frame_config *config, struct plan *plan)
{
	static const char *const sources[] = {
		"0.0.0.0",   "0.1.2.3", "224.0.0.1", "239.255.255.250", "255.255.255.255",
		"127.0.0.1", "::",	"::1",	     "ff02::1",		"ff05::2",
	};
	unsigned int i = below(plan, 2 + sizeof(sources) / sizeof(sources[0]));

	plan->silent = true;
	if (i < sizeof(sources) / sizeof(sources[0])) {
		address_parse(sources[i], &plan->source);
	} else { /* the broadcast address of the network, which is one of 24 bits */
		plan->source = config->source[0];
		plan->source.s6_addr[15] = 255;
	}
	plan->ipv6 = !is_ipv4(&plan->source);
}

static void make_port_zero(const struct frame_config *config, struct plan *plan)
{
	plan->source_port = 0;
	plan->silent = true;
}

/* Both frames of a pair are fragments of one datagram, which is mostly a good one. */
static void make_fragment(const struct frame_config *config, struct plan *plan)
{
	unsigned int offset = 2 + below(plan, 6); /* in units of 8 bytes */
	bool overlap = one_in(plan, 4), incomplete = one_in(plan, 4);

	plan->rest = plan->second;
	if (!plan->rest)
		plan->fragment = IPV4_MORE_FRAGMENTS;
	else
		plan->fragment =
			(overlap ? offset - 1 : offset) | (incomplete ? IPV4_MORE_FRAGMENTS : 0);
	plan->cut = 8 * offset;
}

static void make_options(const struct frame_config *config, struct plan *plan)
{
	static const unsigned char kinds[] = { 0, 1, 7, 68, 130, 131, 137, 148 };

	plan->ipv6 = false;
	plan->option_size = 4 * (1 + below(plan, 10));
	if (one_in(plan, 2)) {
		memset(plan->options, 1, plan->option_size); /* no operation */
		return;
	}
	fill_random(plan, plan->options, plan->option_size);
	plan->options[0] = kinds[below(plan, sizeof(kinds))];
}

static void make_extensions(const struct frame_config *config, struct plan *plan)
{
	static const uint8_t headers[] = { 0, 43, 44, 51, 60, 135, 59, 50 };
	unsigned int count = 1 + below(plan, EXTENSIONS_MAX / 8);
	uint8_t *next = &plan->next_header;

	plan->ipv6 = true;
	for (unsigned int i = 0; i < count; i++) {
		unsigned char *header = plan->extensions + 8 * i;

		*next = headers[below(plan, one_in(plan, 4) ? 8 : 5)];
		next = header;
		header[1] = one_in(plan, 8) ? draw(plan) : 0;
		fill_random(plan, header + 2, 6);
		if (one_in(plan, 2)) { /* one option that pads */
			header[2] = 1;
			header[3] = 4;
		}
	}
	*next = IPPROTO_UDP;
	plan->extension_size = 8 * count;
}

/* A reply of another responder: two that replied to replies would do so for ever. */
static void make_reply(const struct frame_config *config, struct plan *plan)
{
	static const unsigned char opcodes[] = { 2, 3, 4, 21, 22, 23, 10, 11, 0, 5, 24, 255 };
	size_t url = plan->size - ICP_QUERY_HEADER_SIZE;
	unsigned char opcode = opcodes[below(plan, sizeof(opcodes))];

	plan->silent = true;
	if (one_in(plan, 4)) {
		message_header(plan, opcode, plan->size);
	} else {
		memmove(plan->payload + ICP_HEADER_SIZE, plan->payload + ICP_QUERY_HEADER_SIZE,
			url);
		message_header(plan, opcode, ICP_HEADER_SIZE + url);
	}
	if (one_in(plan, 8))
		message_header(plan, opcode, ICP_HEADER_SIZE);
	plan->source_port = ICP_PORT;
}

static void make_request_zero(const struct frame_config *config, struct plan *plan)
{
	put32(plan->payload + 4, 0);
	plan->silent = true;
}

static void make_version(const struct frame_config *config, struct plan *plan)
{
	plan->payload[1] = one_in(plan, 2) ? 3 : 3 + below(plan, 253);
	plan->silent = true;
}

static void make_corpus(const struct frame_config *config, struct plan *plan)
{
	size_t i, size;

	if (config->corpus_count == 0)
		return;
	i = below(plan, config->corpus_count);
	size = config->corpus_size[i] < PAYLOAD_MAX ? config->corpus_size[i] : PAYLOAD_MAX;
	memcpy(plan->payload, config->corpus[i], size);
	plan->size = size;
	if (size >= 8)
		put32(plan->payload + 4, plan->number);
}

static void make_station(const struct frame_config *config, struct plan *plan)
{
	static const uint8_t macs[][ETH_ALEN] = {
		{ 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
		{ 0x01, 0x00, 0x5e, 0x00, 0x00, 0x01 },
		{ 0x33, 0x33, 0x00, 0x00, 0x00, 0x01 },
		{ 0x02, 0x00, 0x00, 0x00, 0x00, 0x99 },
		{ 0 },
	};
	const uint8_t *mac = macs[below(plan, sizeof(macs) / sizeof(macs[0]))];

	memcpy(one_in(plan, 2) ? plan->source_mac : plan->server_mac, mac, ETH_ALEN);
}

static void make_destination(const struct frame_config *config, struct plan *plan)
{
	static const char *const destinations[] = {
		"224.0.0.1", "255.255.255.255", "127.0.0.1", "0.0.0.0",
		"10.99.0.1", "ff02::1",		"::1",	     "2001:db8::1",
	};
	unsigned int i = below(plan, 1 + sizeof(destinations) / sizeof(destinations[0]));

	if (i < sizeof(destinations) / sizeof(destinations[0])) {
		address_parse(destinations[i], &plan->destination);
	} else {
		plan->destination = config->server[0];
		plan->destination.s6_addr[15] = 255;
	}
	plan->ipv6 = !is_ipv4(&plan->destination);
	if (one_in(plan, 2))
		memset(plan->server_mac, 0xff, ETH_ALEN);
	if (one_in(plan, 4))
		plan->port = below(plan, 0x10000);
}

static void make_url(const struct frame_config *config, struct plan *plan)
{
	static const size_t lengths[] = { 210, 247, 253, 254, 255, 256, 257, 512, 1300 };
	static const char bytes[] = "\t\n\v\f\r \0\x01\x7f\x80\xff/";
	unsigned char *url = plan->payload + ICP_QUERY_HEADER_SIZE;
	size_t length;

	make_query(plan, lengths[below(plan, sizeof(lengths) / sizeof(lengths[0]))]);
	length = plan->size - ICP_QUERY_HEADER_SIZE - 1;
	switch (below(plan, 4)) {
	case 0:
		break;
	case 1: /* no NUL at the end */
		url[length] = 'x';
		break;
	case 2: /* no URL, or an empty one */
		message_header(plan, ICP_OP_QUERY, ICP_HEADER_SIZE + below(plan, 6));
		break;
	default:
		url[below(plan, length)] = bytes[below(plan, sizeof(bytes) - 1)];
	}
}

static void make_mutated(const struct frame_config *config, struct plan *plan)
{
	if (one_in(plan, 4))
		make_tags(config, plan);
	plan->mutations = 1 + below(plan, 8);
	plan->repair = !one_in(plan, 4);
}

static void make_garbage(const struct frame_config *config, struct plan *plan)
{
	plan->silent = true;
	if (one_in(plan, 2)) {
		plan->ethertype = 1 + below(plan, 0xffff); /* 0 would be the right one */
		if (plan->ethertype == ETHERTYPE_IP || plan->ethertype == ETHERTYPE_IPV6)
			plan->ethertype = ETHERTYPE_ARP;
		return;
	}
	plan->bare = true;
	plan->size = 14 + below(plan, 200);
	fill_random(plan, plan->payload, plan->size);
	memcpy(plan->payload, plan->server_mac, ETH_ALEN);
}

/* Weights, relative to their sum. judge.c derives the allowed replies from the frame. */
static const struct {
	const char *name;
	make_kind *make;
	unsigned int weight;
} kinds[] = {
	{ "good", make_good, 4 },
	{ "truncated", make_truncated, 4 },
	{ "padded", make_padded, 2 },
	{ "IP checksum", make_ip_sum, 3 },
	{ "UDP checksum", make_udp_sum, 4 },
	{ "IP length", make_ip_length, 4 },
	{ "UDP length", make_udp_length, 4 },
	{ "ICP length", make_icp_length, 3 },
	{ "VLAN tags", make_tags, 4 },
	{ "source", make_source, 4 },
	{ "port 0", make_port_zero, 2 },
	{ "fragment", make_fragment, 3 },
	{ "IP options", make_options, 3 },
	{ "extension headers", make_extensions, 4 },
	{ "reply", make_reply, 8 },
	{ "request number 0", make_request_zero, 3 },
	{ "version", make_version, 2 },
	{ "corpus", make_corpus, 6 },
	{ "station", make_station, 2 },
	{ "destination", make_destination, 3 },
	{ "URL", make_url, 4 },
	{ "mutated", make_mutated, 20 },
	{ "garbage", make_garbage, 2 },
};

static make_kind *draw_kind(struct plan *plan, const char **name)
{
	unsigned int sum = 0, chosen, i = 0;

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		sum += kinds[k].weight;
	for (chosen = below(plan, sum); chosen >= kinds[i].weight; i++)
		chosen -= kinds[i].weight;
	*name = kinds[i].name;
	return kinds[i].make;
}

static struct in6_addr server_of(const struct frame_config *config, bool ipv6)
{
	size_t i = 0;

	while (i + 1 < config->server_count && is_ipv4(&config->server[i]) == ipv6)
		i++;
	return config->server[i];
}

void plan_make(const struct frame_config *config, uint32_t number, struct plan *plan,
	       const char **kind)
{
	make_kind *make;

	*plan = (struct plan){
		.random = config->seed ^ (uint64_t)(number >> 1) << 20,
		.number = number,
		.second = number & 1,
		.port = ICP_PORT,
		.ttl = 64,
	};
	make = draw_kind(plan, kind);
	if (make == make_fragment)
		plan->number = number & ~1u;
	plan->ipv6 = one_in(plan, 3);
	plan->source_port = 1024 + below(plan, 60000);
	if (one_in(plan, 16))
		plan->ttl = below(plan, 256);
	memcpy(plan->source_mac, config->own_mac, ETH_ALEN);
	memcpy(plan->server_mac, config->server_mac, ETH_ALEN);
	make_query(plan, 40 + below(plan, one_in(plan, 4) ? 216 : 40));
	make(config, plan);
	if (make != make_source)
		plan->source = config->source[plan->ipv6];
	if (make != make_destination)
		plan->destination = server_of(config, plan->ipv6);
}
