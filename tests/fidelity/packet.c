// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "packet.h"

#define ETHERNET_SIZE 14u

bool is_ipv4(const struct step *ask)
{
	static const uint8_t mapped[12] = { [10] = 0xff, 0xff };

	return memcmp(ask->address, mapped, 12) == 0;
}

static void build_datagram(struct query_packet *packet, const struct step *ask, uint32_t number)
{
	static struct bytes message;

	packet->size = 24 + ask->text.length + 1;
	message.size = 0;
	push8(&message, 1);
	push8(&message, 2);
	push16(&message, packet->size);
	push32(&message, number);
	push32(&message, ask->on ? 0x40000000 : 0);
	push32(&message, 0);
	push32(&message, 0xc0000207);
	push32(&message, 0xc0000263);
	push(&message, ask->text.at, ask->text.length + 1);
	memcpy(packet->datagram, message.at, packet->size);
	memset(packet->datagram + packet->size, 0, 8);
}

static void build_frame(struct query_packet *packet, const struct step *ask, bool with_sum)
{
	static const uint8_t zero[12] = { 0 }, local6[16] = { [15] = 1 };
	struct bytes *frame = &packet->frame;
	size_t size = packet->size;
	bool ipv4 = is_ipv4(ask);
	size_t udp, addresses;
	uint16_t sum;

	frame->size = 0;
	push(frame, zero, 12);
	push16(frame, ipv4 ? 0x0800 : 0x86dd);
	if (ipv4) {
		push16(frame, 0x4500);
		push16(frame, 20 + 8 + size);
		push32(frame, 0);
		push16(frame, 0x4011);
		push16(frame, 0);
		push(frame, ask->address + 12, 4);
		push32(frame, 0x7f000001);
		poke16(frame, ETHERNET_SIZE + 10, ~plain_sum(frame->at + ETHERNET_SIZE, 20, 0));
		addresses = 8;
	} else {
		push32(frame, 0x60000000);
		push16(frame, 8 + size);
		push16(frame, 0x1140);
		push(frame, ask->address, 16);
		push(frame, local6, 16);
		addresses = 32;
	}
	udp = frame->size;
	push16(frame, 4000);
	push16(frame, 3130);
	push16(frame, 8 + size);
	push16(frame, 0);
	packet->headers = frame->size;
	push(frame, packet->datagram, size);
	if (ipv4 && !with_sum)
		return; /* IPv4 may leave it out */
	sum = plain_sum(frame->at + udp - addresses, frame->size - udp + addresses, 17 + 8 + size);
	sum = ~sum;
	poke16(frame, udp + 6, sum ? sum : 0xffff);
}

void packet_build(struct query_packet *packet, const struct step *ask, uint32_t number)
{
	build_datagram(packet, ask, number);
	build_frame(packet, ask, number % 4 == 0);
}

bool is_reply(const struct step *ask, const char *query, const uint8_t *reply, size_t size,
	      const struct expected *expected)
{
	uint8_t header[HEADER_SIZE] = { 0 };

	header[0] = expected->verdict;
	header[1] = 2;
	header[2] = (ask->text.length + 21) >> 8;
	header[3] = (ask->text.length + 21) & 0xff;
	memcpy(header + 4, query + 4, 4);
	if (expected->cost >= 0) {
		header[8] = 0x40;
		header[14] = expected->cost >> 8;
		header[15] = expected->cost & 0xff;
	}
	memcpy(header + 16, query + 16, 4);
	return size == ask->text.length + 21 && memcmp(reply, header, HEADER_SIZE) == 0 &&
	       memcmp(reply + HEADER_SIZE, ask->text.at, ask->text.length + 1) == 0;
}

void verdict_describe(char *text, size_t size, unsigned int verdict, int cost)
{
	if (cost >= 0)
		snprintf(text, size, "%s (%u) at cost %d", verdict_name(verdict), verdict, cost);
	else
		snprintf(text, size, "%s (%u)", verdict_name(verdict), verdict);
}

void reply_describe(char *text, size_t text_size, const uint8_t *reply, size_t size)
{
	char verdict[64];

	verdict_describe(verdict, sizeof(verdict), reply[0],
			 reply[8] & 0x40 ? reply[14] << 8 | reply[15] : -1);
	snprintf(text, text_size, "%s in %zu bytes", verdict, size);
}
