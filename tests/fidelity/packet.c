// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "packet.h"

bool is_ipv4(const struct step *ask)
{
	static const uint8_t mapped[12] = { [10] = 0xff, 0xff };

	return memcmp(ask->address, mapped, 12) == 0;
}

void packet_build(struct query_packet *packet, const struct step *ask, uint32_t number)
{
	static struct bytes message;
	const struct datagram datagram = { .options = ask->on ? 0x40000000 : 0,
					   .url = ask->text.at,
					   .url_size = ask->text.length + 1 };
	struct envelope envelope = {
		.v6 = !is_ipv4(ask), .from_port = 4000, .to_port = 3130, .ttl = 64
	};

	message_build(&message, &datagram);
	poke16(&message, 4, number >> 16);
	poke16(&message, 6, number);
	packet->size = message.size;
	memcpy(packet->datagram, message.at, message.size);
	memset(packet->datagram + message.size, '/', 8); /* not to be read */

	if (envelope.v6) {
		memcpy(envelope.from, ask->address, 16);
		envelope.to[15] = 1;
	} else {
		memcpy(envelope.from, ask->address + 12, 4);
		memcpy(envelope.to, "\x7f\0\0\1", 4);
		/* IPv4 may leave it out. */
		envelope.checksum = number % 4 ? CHECKSUM_NONE : CHECKSUM_FULL;
	}
	packet->headers = frame_message_offset(&envelope);
	frame_build(&packet->frame, &envelope, &message);
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
