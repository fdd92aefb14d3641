// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The replies that a frame may get, by the rules of the protocol alone. Whether it gets one depends
 * on more (the daemon, the network stack), so a missing reply is no error here; the good queries of
 * tests/flood check that.
 */
#include <net/ethernet.h>

#include "frames.h"
#include "icp.h"
#include "packet.h"

/* A UDP datagram within a frame. */
struct datagram {
	struct in6_addr source, destination;
	unsigned int source_port, port;
	const unsigned char *message;
	size_t size; /* bytes of the message */
	bool sums_good;
};

/* Skip the extension headers that the network stack accepts before UDP. */
static size_t skip_extensions(const unsigned char *bytes, size_t offset, size_t end, uint8_t *next)
{
	while (*next != IPPROTO_UDP) {
		size_t size;

		if (offset + 8 > end)
			return 0;
		if (*next == IPPROTO_HOPOPTS || *next == IPPROTO_ROUTING ||
		    *next == IPPROTO_DSTOPTS || *next == 135)
			size = 8 * (1 + bytes[offset + 1]);
		else if (*next == IPPROTO_AH)
			size = 4 * (2 + bytes[offset + 1]);
		else if (*next == IPPROTO_FRAGMENT && !(get16(bytes + offset + 2) & ~7u))
			size = IPV6_FRAGMENT_HEADER;
		else
			return 0;
		*next = bytes[offset];
		offset += size;
	}
	return offset;
}

/* Returns false if this is no complete datagram. A partial checksum is good. */
static bool find_datagram(const unsigned char *bytes, size_t size, struct datagram *found)
{
	size_t offset = ETH_HLEN, end, address_size, addresses;
	unsigned int length, ethertype;
	const unsigned char *udp;
	uint64_t pseudo;
	uint8_t next;

	if (size < ETH_HLEN)
		return false;
	memset(found, 0, sizeof(*found));
	for (ethertype = get16(bytes + 12); is_vlan(ethertype) && offset + 4 <= size; offset += 4)
		ethertype = get16(bytes + offset + 2);
	found->sums_good = true;
	if (ethertype == ETHERTYPE_IP && offset + IPV4_HEADER <= size && bytes[offset] >> 4 == 4) {
		size_t header = 4 * (bytes[offset] & 15);

		end = offset + get16(bytes + offset + 2);
		if (header < IPV4_HEADER || offset + header > size || end > size ||
		    get16(bytes + offset + 6) & (IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET))
			return false;
		found->sums_good = sum_fold(sum_bytes(0, bytes + offset, header)) == 0xffff;
		addresses = offset + 12;
		address_size = 4;
		found->source.s6_addr[10] = found->source.s6_addr[11] = 0xff;
		found->destination = found->source;
		memcpy(&found->source.s6_addr[12], bytes + addresses, 4);
		memcpy(&found->destination.s6_addr[12], bytes + addresses + 4, 4);
		next = bytes[offset + 9];
		offset += header;
	} else if (ethertype == ETHERTYPE_IPV6 && offset + IPV6_HEADER <= size &&
		   bytes[offset] >> 4 == 6) {
		end = offset + IPV6_HEADER + get16(bytes + offset + 4);
		if (end > size)
			return false;
		addresses = offset + 8;
		address_size = 16;
		memcpy(&found->source, bytes + addresses, 16);
		memcpy(&found->destination, bytes + addresses + 16, 16);
		next = bytes[offset + 6];
		offset = skip_extensions(bytes, offset + IPV6_HEADER, end, &next);
		if (!offset)
			return false;
	} else {
		return false;
	}
	if (next != IPPROTO_UDP || offset + UDP_HEADER > end)
		return false;
	udp = bytes + offset;
	length = get16(udp + 4);
	if (length < UDP_HEADER || offset + length > end)
		return false;
	found->source_port = get16(udp);
	found->port = get16(udp + 2);
	found->message = udp + UDP_HEADER;
	found->size = length - UDP_HEADER;
	pseudo = sum_pseudo(bytes + addresses, 2 * address_size, length);
	if (get16(udp + 6) == 0)
		found->sums_good &= address_size == 4;
	else
		found->sums_good &= sum_fold(sum_bytes(pseudo, udp, length)) == 0xffff ||
				    sum_fold(pseudo) == get16(udp + 6);
	return true;
}

static bool is_multicast(const struct in6_addr *address)
{
	return is_ipv4(address) ? address->s6_addr[12] >> 4 == 0xe : IN6_IS_ADDR_MULTICAST(address);
}

/* Is it a unicast address of a host on the network? 240.0.0.0/4 is merely reserved. */
static bool is_host(const struct in6_addr *address)
{
	if (is_multicast(address))
		return false;
	if (is_ipv4(address))
		return address->s6_addr[12] != 0 && address->s6_addr[12] != 127 &&
		       get32(&address->s6_addr[12]) != INADDR_BROADCAST;
	return !IN6_IS_ADDR_UNSPECIFIED(address) && !IN6_IS_ADDR_LOOPBACK(address);
}

static bool is_server(const struct frame_config *config, const struct in6_addr *address)
{
	for (size_t i = 0; i < config->server_count; i++)
		if (IN6_ARE_ADDR_EQUAL(address, &config->server[i]))
			return true;
	return false;
}

/* Is it a query that may get a reply? */
static bool may_get_reply(const struct frame_config *config, const struct datagram *query)
{
	const unsigned char *message = query->message;

	return query->sums_good && query->port == ICP_PORT && query->source_port != 0 &&
	       is_host(&query->source) &&
	       (is_server(config, &query->destination) || is_multicast(&query->destination)) &&
	       query->size >= ICP_HEADER_SIZE && message[0] == ICP_OP_QUERY &&
	       message[1] == ICP_VERSION && get16(message + 2) == query->size &&
	       get32(message + 4) != 0;
}

static bool is_verdict(unsigned char opcode)
{
	return opcode == ICP_OP_HIT || opcode == ICP_OP_MISS || opcode == ICP_OP_ERR ||
	       opcode == ICP_OP_MISS_NOFETCH || opcode == ICP_OP_DENIED;
}

/* Is there a URL that ends with its only NUL? `size` includes it. */
static bool is_string(const unsigned char *url, size_t size)
{
	return size >= 2 && memchr(url, 0, size) == url + size - 1;
}

static bool has_white_space(const unsigned char *url, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (url[i] == ' ' || (url[i] >= '\t' && url[i] <= '\r'))
			return true;
	return false;
}

/* Compare the reply with its query; any verdict is accepted. */
static bool fits(const struct datagram *reply, const struct datagram *query)
{
	const unsigned char *url = query->message + ICP_QUERY_HEADER_SIZE;
	size_t size = query->size > ICP_QUERY_HEADER_SIZE ? query->size - ICP_QUERY_HEADER_SIZE : 0;
	const unsigned char *message = reply->message;
	bool wants_cost = get32(query->message + 8) & ICP_FLAG_SRC_RTT;

	if (message[1] != ICP_VERSION || get16(message + 2) != reply->size ||
	    !is_verdict(message[0]) || memcmp(message + 16, query->message + 16, 4) != 0)
		return false;
	if (get32(message + 8) ? get32(message + 8) != ICP_FLAG_SRC_RTT || !wants_cost
			       : get32(message + 12) != 0)
		return false;
	if (!is_string(url, size))
		return message[0] == ICP_OP_ERR && reply->size == ICP_ERR_SIZE &&
		       message[ICP_HEADER_SIZE] == 0;
	if (has_white_space(url, size - 1) && message[0] != ICP_OP_ERR)
		return false;
	return reply->size == ICP_HEADER_SIZE + size &&
	       memcmp(message + ICP_HEADER_SIZE, url, size) == 0;
}

enum reply_judgement reply_judge(const struct frame_config *config, const unsigned char *bytes,
				 size_t size, uint32_t *number)
{
	struct datagram reply, query;
	struct frame frame;
	bool ours;

	if (!find_datagram(bytes, size, &reply) || reply.source_port != ICP_PORT)
		return REPLY_OTHER;
	ours = IN6_ARE_ADDR_EQUAL(&reply.destination, &config->source[0]) ||
	       IN6_ARE_ADDR_EQUAL(&reply.destination, &config->source[1]);
	*number = reply.size >= ICP_HEADER_SIZE ? get32(reply.message + 4) : 0;
	if (*number == 0)
		return REPLY_FORBIDDEN;
	if (*number < FRAME_FIRST)
		return ours ? REPLY_FORBIDDEN : REPLY_OTHER;
	if (*number - config->first >= FRAME_RANGE) /* of another generator */
		return REPLY_OTHER;
	frame_make_whole(config, *number, &frame);
	if (frame.silent || !find_datagram(frame.bytes, frame.size, &query) ||
	    !may_get_reply(config, &query) || get32(query.message + 4) != *number)
		return REPLY_FORBIDDEN;
	if (reply.size > query.size &&
	    !(query.size == ICP_HEADER_SIZE && reply.size == ICP_ERR_SIZE))
		return REPLY_LARGER;
	if (!reply.sums_good || reply.port != query.source_port ||
	    !IN6_ARE_ADDR_EQUAL(&reply.destination, &query.source) ||
	    !is_server(config, &reply.source) ||
	    (!is_multicast(&query.destination) &&
	     !IN6_ARE_ADDR_EQUAL(&reply.source, &query.destination)) ||
	    !fits(&reply, &query))
		return REPLY_WRONG;
	return REPLY_GOOD;
}
